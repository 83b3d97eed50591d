import { expect, test } from 'vitest'
import { DelayLanes } from './delay-lanes.ts'
import { Fifo } from './fifo.ts'
import { RateWindow } from './rate-window.ts'

function takeDue(lanes: DelayLanes<string>, now: number): string[] {
  const taken: string[] = []
  lanes.takeDue(now, (item) => taken.push(item))
  return taken
}

test('DelayLanes takes items when they are due, and items of one delay in order', () => {
  const lanes = new DelayLanes<string>()
  expect(lanes.nextDueAt()).toBe(Number.POSITIVE_INFINITY)
  lanes.push('slow', 30_000, 0)
  lanes.push('a', 20, 0)
  lanes.push('b', 20, 1)
  lanes.push('c', 20, 1)
  expect(lanes.nextDueAt()).toBe(20)
  expect(takeDue(lanes, 19.9)).toEqual([])
  expect(takeDue(lanes, 20)).toEqual(['a'])
  expect(lanes.nextDueAt()).toBe(21)
  expect(takeDue(lanes, 500)).toEqual(['b', 'c'])
  expect(lanes.length).toBe(1)
  expect(takeDue(lanes, 30_000)).toEqual(['slow'])
  expect(lanes.length).toBe(0)
})

test('DelayLanes never takes a withdrawn item', () => {
  const lanes = new DelayLanes<string>()
  for (const item of ['a1', 'b1', 'a2']) lanes.push(item, 10, 0)
  lanes.push('a3', 20, 0)
  expect(lanes.withdraw((item) => item.startsWith('a'))).toEqual(['a1', 'a2', 'a3'])
  expect([lanes.length, [...lanes]]).toEqual([1, ['b1']])
  expect(takeDue(lanes, 30)).toEqual(['b1'])
  expect(lanes.length).toBe(0)
})

test('DelayLanes takes an item that is pushed during takeDue when it is due', () => {
  const lanes = new DelayLanes<string>()
  lanes.push('first', 10, 0)
  const taken: string[] = []
  lanes.takeDue(10, (item) => {
    taken.push(item)
    if (item === 'first') lanes.push('second', 10, 10)
  })
  expect(taken).toEqual(['first'])
  expect(takeDue(lanes, 20)).toEqual(['second'])
})

test('a Fifo preserves the order while it grows and shrinks', () => {
  const fifo = new Fifo<number>()
  let next = 0
  let expected = 0
  for (const [pushes, shifts] of [
    [10_000, 9_000],
    [5_000, 5_999],
    [3, 4],
    [20_000, 20_000],
  ] as const) {
    for (let i = 0; i < pushes; i++) fifo.push(next++)
    for (let i = 0; i < shifts; i++) {
      expect(fifo.peek()).toBe(expected)
      expect(fifo.shift()).toBe(expected++)
    }
    expect(fifo.length).toBe(next - expected)
  }
  expect(fifo.shift()).toBeUndefined()
})

test('a RateWindow allows at most the limit in any sliding second, also after a pause', () => {
  const rate = new RateWindow(5)
  const times: number[] = []
  for (let now = 0; now < 3_000; now += 7) if (rate.take(now)) times.push(now)
  for (const time of times)
    expect(times.filter((other) => other > time - 1_000 && other <= time).length).toBeLessThan(6)
  expect(times).toHaveLength(15)
  const burst = Array.from({ length: 20 }, () => rate.take(10_000)).filter(Boolean)
  expect(burst).toHaveLength(5)
})
