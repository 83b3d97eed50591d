import { expect, test } from 'vitest'
import { DeadlineTimer, MAX_TIMER_MS } from './deadline-timer.ts'

function makeTimer() {
  let now = 0
  let timer: { run: () => void; due: number } | undefined
  const firedAt: number[] = []
  const clock = {
    now: () => now,
    setTimeout: (run: () => void, ms: number) => {
      timer = { run, due: now + ms }
      return timer
    },
    clearTimeout: (which: unknown) => {
      if (which === timer) timer = undefined
    },
  }
  const deadlineTimer = new DeadlineTimer(clock, () => firedAt.push(now))
  /** Fires the timer `lateness` ms after it was due. */
  const fire = (lateness = 0) => {
    const due = timer
    timer = undefined
    now = (due?.due ?? now) + lateness
    due?.run()
  }
  return { deadlineTimer, firedAt, fire, armedFor: () => timer?.due }
}

test('fires at the earliest requested time', () => {
  const { deadlineTimer, firedAt, fire, armedFor } = makeTimer()
  deadlineTimer.fireAt(500)
  deadlineTimer.fireAt(300)
  deadlineTimer.fireAt(400)
  expect(armedFor()).toBe(300)
  fire()
  expect(firedAt).toEqual([300])
})

test('waits exactly one turn after a standstill, even if that turn is late, too', () => {
  const { deadlineTimer, firedAt, fire, armedFor } = makeTimer()
  deadlineTimer.fireAt(300)
  fire(10_000)
  expect(firedAt).toEqual([])
  expect(armedFor()).toBe(10_301)
  fire(10_000)
  expect(firedAt).toEqual([20_301])
})

test('waits several times if the deadline is farther away than a timer can wait', () => {
  const { deadlineTimer, firedAt, fire, armedFor } = makeTimer()
  deadlineTimer.fireAt(MAX_TIMER_MS + 5_000)
  expect(armedFor()).toBe(MAX_TIMER_MS)
  fire()
  expect(firedAt).toEqual([])
  expect(armedFor()).toBe(MAX_TIMER_MS + 5_000)
  fire()
  expect(firedAt).toEqual([MAX_TIMER_MS + 5_000])
})

test('does not treat a delay of 60 ms as a standstill', () => {
  const { deadlineTimer, firedAt, fire } = makeTimer()
  deadlineTimer.fireAt(300)
  fire(60)
  expect(firedAt).toEqual([360])
})
