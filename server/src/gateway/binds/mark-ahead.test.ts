import { expect, test } from 'vitest'
import { MarkAhead } from './mark-ahead.ts'

test('marked ahead are the slots that come free during a mark: half a window at most, none of a near carrier', () => {
  const ahead = new MarkAhead()
  for (let n = 0; n < 100; n++) ahead.noteMarking(3)
  expect(ahead.count(100, 50, 25)).toBe(39)
  expect(ahead.count(10, 50, 2)).toBe(4)
  expect(ahead.count(100, 12, 25)).toBe(50)
  expect(ahead.count(1, 50, 1)).toBe(0)
  expect(ahead.count(100, 5, 25)).toBe(0)
})

test('slower marks count soon, faster ones slowly', () => {
  const ahead = new MarkAhead()
  for (let n = 0; n < 8; n++) ahead.noteMarking(13)
  expect(ahead.count(100, 100, 0)).toBeGreaterThan(15)
  ahead.noteMarking(1)
  expect(ahead.count(100, 100, 0)).toBeGreaterThan(15)
})
