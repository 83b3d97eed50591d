import { describe, expect, test } from 'vitest'
import { alternativeMessageIds, normalizeMessageId, type ReceiptIdForm } from './message-id.ts'

describe('the id of a response and of its receipt are one', () => {
  test.each<[ReceiptIdForm, string, string]>([
    ['any', '00Ab12', 'AB12'],
    ['any', 'ab12 ', '000ab12'],
    ['as_is', 'Ab-12', 'Ab-12'],
    ['hex', '6699', '1A2B'],
    ['hex', '0006699', '00001a2b'],
    ['decimal', '1a2b', '6699'],
    ['decimal', '00001A2B', '06699'],
    ['decimal', 'ffffffffffffffff', '18446744073709551615'],
    // neither base: as it stands
    ['hex', 'm-77', 'M-77'],
    ['decimal', 'x1-aa', 'X1-aa'],
  ])('where the form is %s: %s and %s', (form, response, receipt) => {
    expect(normalizeMessageId(form, 'receipt', receipt)).toBe(normalizeMessageId(form, 'response', response))
  })

  test('and are two where every letter counts', () => {
    expect(normalizeMessageId('as_is', 'receipt', 'AB')).not.toBe(normalizeMessageId('as_is', 'response', 'ab'))
    expect(normalizeMessageId('as_is', 'receipt', '01')).not.toBe(normalizeMessageId('as_is', 'response', '1'))
  })
})

test('no form lets through what the database cannot keep', () => {
  for (const form of ['any', 'as_is', 'hex', 'decimal'] as const) {
    const id = normalizeMessageId(form, 'receipt', `1\0${'2'.repeat(60_000)}`)
    expect(id).not.toContain('\0')
    expect(id.length).toBeLessThanOrEqual(255)
  }
})

test('an id may have been spelt in the other base, or in another case', () => {
  expect(alternativeMessageIds('1a2b')).toEqual(['6699'])
  expect(alternativeMessageIds('6699').sort()).toEqual(['1a2b', '26265'])
  expect(alternativeMessageIds('0AB')).toEqual(['ab', '171'])
  expect(alternativeMessageIds('m-77')).toEqual([])
})
