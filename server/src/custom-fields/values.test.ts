import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
import { presentValues } from './custom-fields.schema.ts'
import { PatternBudget, sizeOfPattern } from './pattern.ts'
import { type ContentType, readValue, type ValueRules } from './values.ts'

function rules(contentType: ContentType, given: Partial<ValueRules> = {}): ValueRules {
  return { key: 'k', contentType, maxLength: 30, pattern: null, isEnforced: false, defaultValue: null, ...given }
}

test.each<[ContentType, unknown, unknown]>([
  ['text', 'a b', { value: 'a b' }],
  ['text', 12, { value: '12' }],
  ['text', true, { value: 'true' }],
  ['text', '', { value: null }],
  ['text', null, { value: null }],
  ['text', '🙏'.repeat(30), { value: '🙏'.repeat(30) }],
  ['text', '🙏'.repeat(31), { error: 'length' }],
  ['text', {}, { error: 'type' }],
  ['text', ['a'], { error: 'type' }],
  ['number', '12', { value: 12 }],
  ['number', ' -1.50 ', { value: -1.5 }],
  ['number', '.5', { value: 0.5 }],
  ['number', 1e-7, { value: 1e-7 }],
  ['number', '1,000', { error: 'type' }],
  ['number', '0x10', { error: 'type' }],
  ['number', 'Infinity', { error: 'type' }],
  ['number', Number.POSITIVE_INFINITY, { error: 'type' }],
  ['number', '9007199254740993', { error: 'type' }],
  ['number', true, { error: 'type' }],
  ['datetime', '2025-03-09', { value: '2025-03-09T00:00:00.000Z' }],
  ['datetime', '20250309', { value: '2025-03-09T00:00:00.000Z' }],
  ['datetime', 20250309, { value: '2025-03-09T00:00:00.000Z' }],
  ['datetime', '2025-03-09T10:00:00-08:00', { value: '2025-03-09T18:00:00.000Z' }],
  ['datetime', '2025-03-09T10:00:00.25Z', { value: '2025-03-09T10:00:00.250Z' }],
  ['datetime', '2025-02-30', { error: 'type' }],
  ['datetime', 'soon', { error: 'type' }],
])('reads a value of type %s: %j', (contentType, input, expected) => {
  expect(readValue(rules(contentType), input)).toEqual(expected)
})

test('a pattern may match anywhere in a value, and applies only if it is enforced', () => {
  const pattern = '[0-9]'
  expect(readValue(rules('text', { pattern, isEnforced: true }), 'room 5, left')).toEqual({ value: 'room 5, left' })
  expect(readValue(rules('text', { pattern, isEnforced: true }), 'none')).toEqual({ error: 'pattern' })
  expect(readValue(rules('text', { pattern }), 'none')).toEqual({ value: 'none' })
})

test('a value is rejected if its pattern would take too long, alone or with the other values of its row', () => {
  const field = rules('text', { pattern: '(?:a?){200}[cd]$', isEnforced: true, maxLength: 9_999 })
  expect(readValue(field, 'a'.repeat(9_999))).toEqual({ error: 'cost' })
  expect(readValue(field, 'a'.repeat(200))).toEqual({ error: 'pattern' })
  const budget = new PatternBudget()
  const results = Array.from({ length: 10 }, () => readValue(field, `${'a'.repeat(199)}c`, budget))
  const accepted = results.filter((result) => 'value' in result)
  expect(accepted.length).toBeGreaterThanOrEqual(5)
  expect(results.slice(accepted.length)).toEqual(Array(10 - accepted.length).fill({ error: 'cost' }))
  expect(accepted.length).toBeLessThan(10)
})

test('the patterns of a row take a short time, whatever they are', () => {
  for (const pattern of [
    '(x+x+)+y',
    '(a|aa)+$',
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    '(?:a?){200}[cd]$',
    '(?i)(?:k|s|ks)*\\d',
  ]) {
    const size = sizeOfPattern(pattern) ?? 0
    const longest = Math.min(9_999, Math.floor(100_000 / size))
    const field = rules('text', { pattern, isEnforced: true, maxLength: 9_999 })
    const readRow = (unit: string) => {
      const budget = new PatternBudget()
      for (let n = 0; n < 200; n++) readValue(field, unit.repeat(longest), budget)
    }
    for (const unit of ['x', 'a', 's'])
      expect(
        cpuMs(() => readRow(unit)),
        `${pattern} ${unit}`,
      ).toBeLessThan(250)
  }
})

test('a long number that is none is rejected in linear time', () => {
  const field = rules('number', { maxLength: 9_999 })
  const read = () => Array.from({ length: 100 }, () => readValue(field, `${'1'.repeat(9_998)}x`))
  expect(cpuMs(read)).toBeLessThan(250)
})

test('a default is presented in the type of its field', () => {
  const fields = [
    rules('number', { key: 'n', defaultValue: '2.50' }),
    rules('datetime', { key: 'd', defaultValue: '2025-07-01' }),
    rules('text', { key: 't', defaultValue: 'x' }),
    rules('text', { key: 'constructor' }),
  ]
  expect(presentValues(fields, {}, 'America/Los_Angeles')).toEqual({
    n: 2.5,
    d: '2025-06-30T17:00:00.000-07:00',
    t: 'x',
    constructor: null,
  })
})

test('every valid value can be read again as it is presented', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<ContentType>('text', 'number', 'datetime'),
      fc.oneof(fc.string(), fc.double(), fc.integer(), fc.date({ noInvalidDate: true }).map(String), fc.jsonValue()),
      (contentType, input) => {
        const field = rules(contentType, { maxLength: 9_999, defaultValue: null })
        const read = readValue(field, input)
        if ('error' in read) return
        const stored = JSON.parse(JSON.stringify({ k: read.value })) as Record<string, unknown>
        const shown = presentValues([field], stored, 'UTC').k
        if (read.value === null) {
          expect(shown).toBeNull()
          return
        }
        // a presented value is valid input
        expect(readValue(field, shown)).toEqual({ value: read.value === 0 ? 0 : read.value })
      },
    ),
  )
})
