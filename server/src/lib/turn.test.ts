import { expect, test } from 'vitest'
import { Turn } from './turn.ts'

/** A stopwatch on which each item takes `ms`. */
function slowly(ms: number) {
  let now = 0
  const done: number[] = []
  return {
    done,
    stopwatch: () => now,
    work: (item: number) => {
      now += ms
      done.push(item)
    },
  }
}

const items = Array.from({ length: 100 }, (_, n) => n)

test('ends when its time is used up, after at least one item', async () => {
  const { stopwatch, work, done } = slowly(30)
  const turn = new Turn(100, stopwatch)
  expect(await turn.forEach(items, work)).toBe(4)
  expect(done).toEqual([0, 1, 2, 3])
  expect(turn.isOver).toBe(true)
  expect(await turn.forEach(items.slice(4), work)).toBe(1)
  expect(await turn.forEach([], work)).toBe(0)
})

test('lets the event loop run between items, and only every 10 ms', async () => {
  const yielded = async (ms: number) => {
    const { stopwatch, work } = slowly(ms)
    let loops = 0
    let isDone = false
    const count = () => {
      loops++
      if (!isDone) setImmediate(count)
    }
    setImmediate(count)
    expect(await new Turn(undefined, stopwatch).forEach(items, work)).toBe(items.length)
    isDone = true
    return loops
  }
  expect(await yielded(20)).toBeGreaterThanOrEqual(99)
  expect(await yielded(1)).toBeLessThan(20)
})
