import { expect, test } from 'vitest'
import { hashPassword, isPassword, makePassword } from './passwords.ts'

test('a password matches its own hash only, and two hashes of it differ', async () => {
  const hash = await hashPassword('correct horse')
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  expect(await isPassword('correct horse', hash)).toBe(true)
  expect(await isPassword('correct horsE', hash)).toBe(false)
  expect(await hashPassword('correct horse')).not.toBe(hash)
})

test('accepts a hash made by the argon2 program', async () => {
  // argon2 somesalt -id -t 2 -k 65536 -p 1 -l 32, of "password"
  const hash = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  expect(await isPassword('password', hash)).toBe(true)
  expect(await isPassword('Password', hash)).toBe(false)
})

test.each(['', 'plain', '$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA'])(
  'matches no password with the malformed hash %j',
  async (hash) => {
    expect(await isPassword('', hash)).toBe(false)
  },
)

test('generated passwords are long and differ', () => {
  expect(makePassword()).toMatch(/^[\w-]{20}$/)
  expect(makePassword()).not.toBe(makePassword())
})
