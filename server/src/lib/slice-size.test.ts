import { expect, test } from 'vitest'
import { SliceSize, SliceSizes } from './slice-size.ts'

test('grows to its maximum while slices are fast, and follows slow rows within one slice', () => {
  const size = new SliceSize(10_000)
  const sizes = [size.rows]
  for (const msPerRow of [0.01, 0.01, 0.01, 0.01, 50, 50, 0.01]) {
    size.took(size.rows, size.rows * msPerRow)
    sizes.push(size.rows)
  }
  expect(sizes).toEqual([200, 1_000, 5_000, 10_000, 10_000, 5, 5, 25])
})

test('shrinks after a failure, and is at least one row', () => {
  const size = new SliceSize(50)
  expect(size.rows).toBe(50)
  size.failed()
  expect(size.rows).toBe(10)
  for (let n = 0; n < 5; n++) size.failed()
  expect(size.rows).toBe(1)
  size.took(1, 60_000)
  expect(size.rows).toBe(1)
})

test('each unit of work has its own size until it ends', () => {
  const sizes = new SliceSizes(10_000)
  sizes.of(1).took(200, 25_000)
  expect([sizes.of(1).rows, sizes.of(2).rows]).toEqual([2, 200])
  sizes.delete(1)
  expect(sizes.of(1).rows).toBe(200)
})
