import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../test/carillon-process.ts'
import { ensureSecretKey, findSecretKey } from './secret-key.ts'

test('creates the key once, readable only by its owner', () => {
  const scratch = makeScratch()
  onTestFinished(() => scratch.remove())
  const path = join(scratch.path, 'secret.key')
  expect(findSecretKey(scratch.path)).toBeUndefined()
  const key = ensureSecretKey(scratch.path)
  expect(key).toMatch(/^[0-9a-f]{64}$/)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8').trim()).toBe(key)
  expect([ensureSecretKey(scratch.path), findSecretKey(scratch.path)]).toEqual([key, key])
  expect(readdirSync(scratch.path)).toEqual(['secret.key'])
  // a start that was killed while it created the key leaves an unused draft
  writeFileSync(`${path}.cafe`, 'half')
  expect(ensureSecretKey(scratch.path)).toBe(key)
  writeFileSync(path, 'half')
  expect(() => ensureSecretKey(scratch.path)).toThrow('secret.key is damaged: it must be 64 hex digits')
})

test('returns the same key to concurrent processes', async () => {
  const scratch = makeScratch()
  onTestFinished(() => scratch.remove())
  const script = `
    const { ensureSecretKey } = await import(process.argv[1])
    process.stdout.write(ensureSecretKey(process.argv[2]))`
  const module = new URL('secret-key.ts', import.meta.url).href
  const makers = Array.from({ length: 4 }, () =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, module, scratch.path]),
  )
  const keys = (await Promise.all(makers)).map(({ stdout }) => stdout)
  expect(new Set(keys)).toEqual(new Set([findSecretKey(scratch.path)]))
})
