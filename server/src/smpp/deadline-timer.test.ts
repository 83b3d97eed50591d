import { expect, test } from 'vitest'
import { DeadlineTimer } from './deadline-timer.ts'

function makeAlarm() {
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
  const alarm = new DeadlineTimer(clock, () => rings.push(now))
  /** Fires the timer this much after it was due. */
  const fire = (lateness = 0) => {
    const due = timer
    timer = undefined
    now = (due?.due ?? now) + lateness
    due?.run()
  }
  return { alarm, rings, fire, armedFor: () => timer?.due }
}

test('rings at the earliest time asked for', () => {
  const { alarm, rings, fire, armedFor } = makeAlarm()
  alarm.setFor(500)
  alarm.setFor(300)
  alarm.setFor(400)
  expect(armedFor()).toBe(300)
  fire()
  expect(rings).toEqual([300])
})

test('after a standstill it waits one turn, and only one, however late that is again', () => {
  const { alarm, rings, fire, armedFor } = makeAlarm()
  alarm.setFor(300)
  fire(10_000)
  expect(rings).toEqual([])
  expect(armedFor()).toBe(10_301)
  fire(10_000)
  expect(rings).toEqual([20_301])
})

test('an ordinary delay is no standstill', () => {
  const { alarm, rings, fire } = makeAlarm()
  alarm.setFor(300)
  fire(60)
  expect(rings).toEqual([360])
})
