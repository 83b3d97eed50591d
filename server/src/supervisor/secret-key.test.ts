import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../test/carillon-process.ts'
import { findSecretKey, keepSecretKey } from './secret-key.ts'

test('the key is made once, for its owner alone, and found again', () => {
  const scratch = makeScratch()
  onTestFinished(() => scratch.remove())
  const path = join(scratch.path, 'secret.key')
  expect(findSecretKey(scratch.path)).toBeUndefined()
  const key = keepSecretKey(scratch.path)
  expect(key).toMatch(/^[0-9a-f]{64}$/)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8').trim()).toBe(key)
  expect([keepSecretKey(scratch.path), findSecretKey(scratch.path)]).toEqual([key, key])
  expect(readdirSync(scratch.path)).toEqual(['secret.key'])
  writeFileSync(path, 'half')
  expect(() => keepSecretKey(scratch.path)).toThrow('secret.key is damaged: it must be 64 hex digits')
})
