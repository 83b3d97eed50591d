import { expect, test } from 'vitest'
import { referenceOf } from './reference.ts'

const block = 16_384

test('4,096 consecutive rows have distinct references', () => {
  const references = new Set(Array.from({ length: 4_096 }, (_, n) => referenceOf(7 * block + n, 0)))
  expect(references.size).toBe(4_096)
})

test('rows with the same offset in consecutive broadcasts have distinct references', () => {
  const references = new Set(Array.from({ length: 4_096 }, (_, n) => referenceOf((1_000_000 + n) * block + 33, 0)))
  expect(references.size).toBe(4_096)
})

test('parts of a text have distinct references', () => {
  const references = [0, 1, 15].map((part) => referenceOf(block, part) - referenceOf(block, 0))
  expect(references).toEqual([0, 1, 15])
})
