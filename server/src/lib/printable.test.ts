import { expect, test } from 'vitest'
import { printable, printableLine } from './printable.ts'

test('characters that control a terminal are escaped, and others are unchanged', () => {
  expect(printable('\u001b[2J\u009b31m\u0007\r\u007f')).toBe('\\u001b[2J\\u009b31m\\u0007\\u000d\\u007f')
  expect(printable('\u202e55555\u2066 \u2028')).toBe('\\u202e55555\\u2066 \\u2028')
  const text = 'Zoë 😀 שלום\u200f 你好\n\tnext \\u001b'
  expect(printable(text)).toBe(text)
  expect(printableLine('two\n\tlines')).toBe('two\\u000a\\u0009lines')
})

test('JSON remains the same JSON', () => {
  const value = { name: '\u009b31m\u202e\u0000', list: ['\n'] }
  expect(JSON.parse(printable(JSON.stringify(value, null, 2)))).toEqual(value)
})
