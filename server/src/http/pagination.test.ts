import fc from 'fast-check'
import { expect, test } from 'vitest'
import { envelope, normalizePage, pageFrom } from './pagination.ts'

function read(query: Record<string, unknown>) {
  normalizePage(query)
  return pageFrom(query)
}

test.each<[unknown, unknown, object]>([
  [undefined, undefined, { page: 1, perPage: 10, offset: 0 }],
  ['2', '25', { page: 2, perPage: 25, offset: 25 }],
  [3, 7, { page: 3, perPage: 7, offset: 14 }],
  ['1', '1000', { page: 1, perPage: 1000, offset: 0 }],
  ['1', '1001', { page: 1, perPage: 1000, offset: 0 }],
  ['0', '0', { page: 1, perPage: 10, offset: 0 }],
  ['-1', '-5', { page: 1, perPage: 10, offset: 0 }],
  ['abc', '1.5', { page: 1, perPage: 10, offset: 0 }],
  ['', ' 5', { page: 1, perPage: 10, offset: 0 }],
  [['2'], { a: '2' }, { page: 1, perPage: 10, offset: 0 }],
  ['007', '09', { page: 7, perPage: 9, offset: 54 }],
])('reads page %j and per_page %j', (page, per_page, expected) => {
  expect(read({ page, per_page })).toEqual(expected)
})

test('every requested page is within the range of the database', () => {
  fc.assert(
    fc.property(fc.anything(), fc.oneof(fc.anything(), fc.bigInt().map(String)), (perPage, page) => {
      const requested = read({ page, per_page: perPage })
      expect(requested.perPage).toBeGreaterThanOrEqual(1)
      expect(requested.perPage).toBeLessThanOrEqual(1_000)
      expect(requested.page).toBeGreaterThanOrEqual(1)
      expect(Number.isSafeInteger(requested.offset)).toBe(true)
    }),
  )
})

test('the pages contain all records, and no page is empty', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.integer({ min: 1, max: 1_000 }), (count, perPage) => {
      const { pages_count, ...rest } = envelope({ page: 1, perPage, offset: 0 }, count)
      expect(rest).toEqual({ status: 'OK', per_page: perPage, count, page: 1 })
      expect(pages_count * perPage).toBeGreaterThanOrEqual(count)
      expect((pages_count - 1) * perPage).toBeLessThan(Math.max(count, 1))
    }),
  )
})
