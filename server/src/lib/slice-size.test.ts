import { expect, test } from 'vitest'
import { SliceSize, SliceSizes } from './slice-size.ts'

test('grows to its maximum while slices are fast, and follows slow rows within one slice', () => {
  const size = new SliceSize(10_000)
  const sizes = [size.rows]
  for (const msPerRow of [0.01, 0.01, 0.01, 0.01, 0.01, 50, 50, 0.01]) {
    size.took(size.rows, size.rows * msPerRow)
    sizes.push(size.rows)
  }
  expect(sizes).toEqual([20, 100, 500, 2_500, 10_000, 10_000, 5, 5, 25])
})

test('has many rows although their beginning takes most of the time, but lasts two seconds at most', () => {
  const size = new SliceSize(10_000)
  // each of eight statements waits for 40 ms, of which three begin the slice
  for (let n = 0; n < 10; n++) size.took(size.rows, 320 + size.rows * 0.1, 120)
  expect(size.rows).toBeGreaterThan(4_000)
  const expensive = new SliceSize(10_000)
  for (let n = 0; n < 10; n++) expensive.took(expensive.rows, 1_000 + expensive.rows * 100, 1_000)
  expect(expensive.rows).toBe(10)
})

test('shrinks after a failure, and is at least one row', () => {
  const size = new SliceSize(10)
  expect(size.rows).toBe(10)
  size.failed()
  expect(size.rows).toBe(2)
  for (let n = 0; n < 5; n++) size.failed()
  expect(size.rows).toBe(1)
  size.took(1, 60_000)
  expect(size.rows).toBe(1)
})

test('each unit of work has its own size until it ends', () => {
  const sizes = new SliceSizes(10_000)
  sizes.of(1).took(20, 2_500)
  expect([sizes.of(1).rows, sizes.of(2).rows]).toEqual([2, 20])
  sizes.delete(1)
  expect(sizes.of(1).rows).toBe(20)
})

test('with too many units of work, only the one that was used least recently begins again', () => {
  const sizes = new SliceSizes(10_000)
  for (let id = 1; id <= 1_000; id++) sizes.of(id).took(20, 2_500)
  sizes.of(1)
  expect(sizes.of(1_001).rows).toBe(20)
  expect([1, 3, 1_000].map((id) => sizes.of(id).rows)).toEqual([2, 2, 2])
  expect(sizes.of(2).rows).toBe(20)
})
