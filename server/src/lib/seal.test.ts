import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { Sealer } from './seal.ts'

const sealer = new Sealer(randomBytes(32))

test.each(['swordfish', '', 'pässwörd 🐟', 'x'.repeat(10_000)])('opens a sealed string: %#', (text) => {
  const sealed = sealer.seal(text, 'password')
  expect(sealer.open(sealed, 'password')).toBe(text)
  if (text) expect(sealed.includes(text)).toBe(false)
  expect(sealer.seal(text, 'password').equals(sealed)).toBe(false)
})

test('does not open it with another key, and distinguishes that from damage', () => {
  const sealed = sealer.seal('swordfish', 'password')
  const other = new Sealer(randomBytes(32))
  expect(() => other.open(sealed, 'password')).toThrow('was sealed with another key')
  expect([sealer.sealed(sealed), other.sealed(sealed)]).toEqual([true, false])
  expect(() => sealer.open(sealed, 'tls_key')).toThrow('is damaged')
  for (let at = 5; at < sealed.length; at += 1) {
    const damaged = Buffer.from(sealed)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    expect(() => sealer.open(damaged, 'password')).toThrow('is damaged')
  }
  for (let length = 0; length < 33; length += 1) {
    expect(() => sealer.open(sealed.subarray(0, length), 'password')).toThrow('is not a sealed text')
  }
})
