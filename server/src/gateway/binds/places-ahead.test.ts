import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { PlacesAhead } from './places-ahead.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function makeRoom() {
  const ahead = new PlacesAhead()
  const heard: string[] = []
  const add = (name: string, urgent = false) =>
    ahead.add({ urgent, write: () => heard.push(name), giveUp: () => heard.push(`not ${name}`) })
  const fill = (places: number) => ahead.fill(() => places-- > 0)
  return { ahead, heard, add, fill }
}

test('as many are counted as will have come free, half of a window at most, and none of a near carrier', () => {
  const { ahead } = makeRoom()
  for (let n = 0; n < 100; n++) ahead.noteMarking(3)
  expect(ahead.count(100, 50, 25)).toBe(39)
  expect(ahead.count(10, 50, 2)).toBe(4)
  expect(ahead.count(100, 12, 25)).toBe(50)
  expect(ahead.count(1, 50, 1)).toBe(0)
  expect(ahead.count(100, 5, 25)).toBe(0)
})

test('marks that grow slower are soon believed', () => {
  const { ahead } = makeRoom()
  for (let n = 0; n < 8; n++) ahead.noteMarking(13)
  expect(ahead.count(100, 100, 0)).toBeGreaterThan(15)
  ahead.noteMarking(1)
  expect(ahead.count(100, 100, 0)).toBeGreaterThan(15)
})

test('who waits takes the places that come free, urgent ones first and then in order', () => {
  const { heard, add, fill } = makeRoom()
  for (const name of ['a', 'b', 'c']) add(name)
  add('urgent', true)
  fill(2)
  expect(heard).toEqual(['urgent', 'a'])
  fill(5)
  expect(heard).toEqual(['urgent', 'a', 'b', 'c'])
  fill(1)
  expect(heard).toHaveLength(4)
})

test('who has waited a second gives up, and no other', () => {
  const { heard, add, fill } = makeRoom()
  add('early')
  vi.advanceTimersByTime(900)
  add('late')
  vi.advanceTimersByTime(400)
  expect(heard).toEqual(['not early'])
  fill(2)
  expect(heard).toEqual(['not early', 'late'])
  vi.advanceTimersByTime(5_000)
  expect(heard).toHaveLength(2)
  add('another')
  vi.advanceTimersByTime(1_500)
  expect(heard.at(-1)).toBe('not another')
})
