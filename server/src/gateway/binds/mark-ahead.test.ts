import { expect, test } from 'vitest'
import { MarkAhead } from './mark-ahead.ts'

test('counts the slots that become free during a mark: at most half a window, none if responses are fast', () => {
  const ahead = new MarkAhead()
  for (let n = 0; n < 100; n++) ahead.noteMarking(3)
  expect(ahead.count(100, 50, 25)).toBe(39)
  expect(ahead.count(10, 50, 2)).toBe(4)
  expect(ahead.count(100, 12, 25)).toBe(50)
  expect(ahead.count(1, 50, 1)).toBe(0)
  expect(ahead.count(100, 5, 25)).toBe(0)
})

test('the average duration of marks rises quickly and falls slowly', () => {
  const ahead = new MarkAhead()
  for (let n = 0; n < 8; n++) ahead.noteMarking(13)
  expect(ahead.count(100, 100, 0)).toBeGreaterThan(15)
  ahead.noteMarking(1)
  expect(ahead.count(100, 100, 0)).toBeGreaterThan(15)
})
