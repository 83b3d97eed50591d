import { expect, test } from 'vitest'
import { referenceOf } from './reference.ts'

const block = 16_384

test('rows of one slice have references of their own, as long as there are bits for it', () => {
  const references = new Set(Array.from({ length: 4_096 }, (_, n) => referenceOf(7 * block + n, 0)))
  expect(references.size).toBe(4_096)
})

test('so have those of one place in one broadcast after the other', () => {
  const references = new Set(Array.from({ length: 4_096 }, (_, n) => referenceOf((1_000_000 + n) * block + 33, 0)))
  expect(references.size).toBe(4_096)
})

test('and the parts of a text', () => {
  const references = [0, 1, 15].map((part) => referenceOf(block, part) - referenceOf(block, 0))
  expect(references).toEqual([0, 1, 15])
})
