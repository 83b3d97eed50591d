import { expect, test } from 'vitest'
import { decodeWindows1252 } from './windows-1252.ts'

test('every byte is decoded as by TextDecoder', () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  expect(decodeWindows1252(bytes)).toBe(new TextDecoder('windows-1252').decode(bytes))
  expect(decodeWindows1252(Buffer.from([0x80, 0x41, 0x80]))).toBe('€A€')
})
