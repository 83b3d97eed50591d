import { describe, expect, test } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
import { EventLoopTurns } from '../lib/event-loop-turns.ts'
import { maxListSize, maxProgramSize, PatternBudget, preparePatterns, sizeOfPattern } from './pattern.ts'
import { maxSourceSize, sourceSizeOf } from './pattern-size.ts'

test.each([
  ['abc', 3],
  ['a{10}', 10],
  ['a{2,10}b', 11],
  ['a{3,}', 3],
  ['a{,3}', 5],
  ['a{0}', 1],
  ['(?:ab){10}', 50],
  ['((a{5}){4}){3}', 75],
  ['[a-z{9}]{10}', 10],
  ['[]{9}]{10}', 10],
  ['[^]{9}]{10}', 10],
  ['[[:alpha:]{9}]{10}', 10],
  ['\\{9}', 3],
  ['\\(a{3}', 4],
  ['\\Qa{9}\\E{10}', 80],
  ['\\x{41}{10}', 10],
  ['\\p{L}{10}', 300],
  ['[\\p{L}\\p{N}]{10}', 350],
  ['a)b(', 3],
])('the size of %s is %i', (source, size) => {
  expect(sourceSizeOf(source)).toBe(size)
})

describe('a pattern', () => {
  test.each([
    '((a{1000}){1000})',
    `(?:${'x'.repeat(240)}){1000}`,
    '(?:(?:(?:a?b?c?){10}){10}d?){9}',
    '^(?:[\\p{L}\\p{N}\\p{M}]){490}$',
    `(?i)${'\\p{L}'.repeat(50)}{20}`,
    '(?:a|b|c|d|e|f|g){900}',
  ])('is not compiled if it is far too large: %s', (pattern) => {
    let size: number | undefined
    expect(cpuMs(() => (size = sizeOfPattern(pattern)))).toBeLessThan(50)
    expect(size).toBe(Number.POSITIVE_INFINITY)
  })

  test('is compiled in a short time if it is not', () => {
    for (const pattern of [
      `(?i)${'\\p{L}'.repeat(49)}`,
      '^[\\p{L} ]{1,60}$',
      '(?:x{100}){10}',
      `${'(?:'.repeat(80)}a${')*'.repeat(80)}`,
      Array(120).fill('a').join('|'),
      `${'('.repeat(120)}${')'.repeat(120)}`,
      `(?i)[${'кЖ'.repeat(100)}]`,
    ]) {
      expect(
        cpuMs(() => sizeOfPattern(pattern)),
        pattern,
      ).toBeLessThan(500)
    }
  })

  test('that people use is small', () => {
    for (const pattern of [
      '^[0-9]+$',
      '^\\d{5}(-\\d{4})?$',
      '^[^@\\s]+@[^@\\s]+\\.[a-zA-Z]{2,}$',
      '^\\p{Alnum}{1,40}$',
      '^(?:AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY)$',
      '^https?://[\\w.-]+(?:/[\\w./?%&=-]*)?$',
    ]) {
      expect(sizeOfPattern(pattern), pattern).toBeLessThanOrEqual(maxProgramSize)
    }
  })
})

test('the patterns of a list are compiled up to the limit of their sizes, and those beyond accept nothing', async () => {
  const count = maxListSize / maxSourceSize + 2
  const fields = Array.from({ length: count }, (_, n) => ({
    pattern: `(?:${'a'.repeat(44)}${String.fromCharCode(97 + n)}){40}`,
    isEnforced: true,
  }))
  const largest = await preparePatterns(fields, new EventLoopTurns())
  expect(largest).toBeGreaterThan(maxProgramSize)
  const small = { pattern: 'a', isEnforced: true }
  await preparePatterns([...fields.slice(0, -1), small], new EventLoopTurns())
  expect(new PatternBudget().matches(small, 'a')).toBeUndefined()
  await preparePatterns([small], new EventLoopTurns())
  expect(new PatternBudget().matches(small, 'a')).toBe(true)
})
