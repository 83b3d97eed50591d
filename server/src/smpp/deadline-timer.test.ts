import { expect, test } from 'vitest'
import { DeadlineTimer } from './deadline-timer.ts'

function makeTimer() {
  let now = 0
  let timer: { run: () => void; due: number } | undefined
  const rings: number[] = []
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
  const deadlineTimer = new DeadlineTimer(clock, () => rings.push(now))
  /** Fires the timer `lateness` milliseconds after it was due. */
  const fire = (lateness = 0) => {
    const due = timer
    timer = undefined
    now = (due?.due ?? now) + lateness
    due?.run()
  }
  return { deadlineTimer, rings, fire, armedFor: () => timer?.due }
}

test('rings at the earliest requested time', () => {
  const { deadlineTimer, rings, fire, armedFor } = makeTimer()
  deadlineTimer.ringAt(500)
  deadlineTimer.ringAt(300)
  deadlineTimer.ringAt(400)
  expect(armedFor()).toBe(300)
  fire()
  expect(rings).toEqual([300])
})

test('after a standstill it waits exactly one turn, even if that turn is late too', () => {
  const { deadlineTimer, rings, fire, armedFor } = makeTimer()
  deadlineTimer.ringAt(300)
  fire(10_000)
  expect(rings).toEqual([])
  expect(armedFor()).toBe(10_301)
  fire(10_000)
  expect(rings).toEqual([20_301])
})

test('an ordinary delay is not a standstill', () => {
  const { deadlineTimer, rings, fire } = makeTimer()
  deadlineTimer.ringAt(300)
  fire(60)
  expect(rings).toEqual([360])
})
