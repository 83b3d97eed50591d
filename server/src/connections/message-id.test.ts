import { describe, expect, test } from 'vitest'
import { alternativeMessageIds, normalizeMessageId, type ReceiptIdForm } from './message-id.ts'

describe('the normalized ids of a response and its receipt', () => {
  test.each<[ReceiptIdForm, string, string]>([
    ['any', '00Ab12', 'AB12'],
    ['any', 'ab12 ', '000ab12'],
    ['as_is', 'Ab-12', 'Ab-12'],
    ['hex', '6699', '1A2B'],
    ['hex', '0006699', '00001a2b'],
    ['decimal', '1a2b', '6699'],
    ['decimal', '00001A2B', '06699'],
    ['decimal', 'ffffffffffffffff', '18446744073709551615'],
    // not a number in either base, so unchanged
    ['hex', 'm-77', 'M-77'],
    ['decimal', 'x1-aa', 'X1-aa'],
  ])('are equal in the form %s: %s and %s', (form, response, receipt) => {
    expect(normalizeMessageId(form, 'receipt', receipt)).toBe(normalizeMessageId(form, 'response', response))
  })

  test('differ in the form as_is if case or leading zeros differ', () => {
    expect(normalizeMessageId('as_is', 'receipt', 'AB')).not.toBe(normalizeMessageId('as_is', 'response', 'ab'))
    expect(normalizeMessageId('as_is', 'receipt', '01')).not.toBe(normalizeMessageId('as_is', 'response', '1'))
  })
})

test('normalized ids in every form fit the database column', () => {
  for (const form of ['any', 'as_is', 'hex', 'decimal'] as const) {
    const id = normalizeMessageId(form, 'receipt', `1\0${'2'.repeat(60_000)}`)
    expect(id).not.toContain('\0')
    expect(id.length).toBeLessThanOrEqual(255)
  }
})

test('alternative ids use the other base and the other case', () => {
  expect(alternativeMessageIds('1a2b')).toEqual(['6699'])
  expect(alternativeMessageIds('6699').sort()).toEqual(['1a2b', '26265'])
  expect(alternativeMessageIds('0AB')).toEqual(['ab', '171'])
  expect(alternativeMessageIds('m-77')).toEqual([])
})
