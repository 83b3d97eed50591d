import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeScratch } from '../../test/carillon-process.ts'
import { captureOutput } from './output.ts'

let scratch: ReturnType<typeof makeScratch>
beforeEach(() => {
  scratch = makeScratch()
})
afterEach(() => scratch.remove())

test('the output of a child is complete when it is written, in files of limited size', async () => {
  const script = `for (let n = 0; n < 2000; n++) (n % 2 ? console.log : console.error)('line ' + n + ' ä')`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  const path = join(scratch.path, 'child.log')
  await captureOutput(child, path, 10_000)
  const files = ['.4', '.3', '.2', '.1', ''].map((end) => `${path}${end}`).filter((file) => existsSync(file))
  expect(files.length).toBeGreaterThan(2)
  expect(Math.max(...files.map((file) => statSync(file).size))).toBeLessThanOrEqual(10_000)
  const lines = files.flatMap((file) => readFileSync(file, 'utf8').trimEnd().split('\n'))
  const expected = Array.from({ length: 2_000 }, (_, n) => `line ${n} ä`)
  expect(lines.sort()).toEqual(expected.sort())
})

test('a program that does not exist has no output', async () => {
  const child = spawn(join(scratch.path, 'missing'), { stdio: ['ignore', 'pipe', 'pipe'] })
  await captureOutput(child, join(scratch.path, 'child.log'), 10_000)
  expect(existsSync(join(scratch.path, 'child.log'))).toBe(false)
})
