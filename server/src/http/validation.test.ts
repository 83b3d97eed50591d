import { expect, test } from 'vitest'
import { detailsOf } from './validation.ts'

test('details are those of the first thousand errors, because each takes time', () => {
  const faults = Array.from({ length: 1_001 }, (_, n) => ({
    keyword: 'type',
    instancePath: `/field_${n}`,
    params: { type: 'string' },
  }))
  const details = detailsOf(faults)
  expect(Object.keys(details)).toHaveLength(1_000)
  expect(details.field_999).toEqual(['must be a string'])
})
