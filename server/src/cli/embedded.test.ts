import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { inheritedEnv, makeScratch, processesOf, startCarillon } from '../../test/carillon-process.ts'

// The program itself on real data directories, with and without a running instance.

const script = fileURLToPath(new URL('../bin/carillon.ts', import.meta.url))

let scratch: ReturnType<typeof makeScratch>
let dataDir: string

beforeEach(() => {
  scratch = makeScratch()
  dataDir = join(scratch.path, 'data')
})

afterEach(() => scratch.remove())

type Ended = { code: number; out: string; err: string }

function carillon(line: string, directory = dataDir): Promise<Ended> {
  const env = { ...inheritedEnv(), CARILLON_DATA_DIR: directory, INIT_CWD: scratch.path }
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...line.split(' ')], { env }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    )
  })
}

test('works on a new directory, on a stopped and on a running instance, and leaves no process running', async () => {
  expect(await carillon('account list')).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining('npm start once'),
  })
  const made = await carillon('account create --email ana@cedar.example --short-code 55555 --json')
  expect(made).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(made.out)).toMatchObject({ short_code: '55555' })
  expect(processesOf(scratch.path)).toEqual([])
  expect((await carillon('account list')).out).toContain('ana@cedar.example')

  const instance = startCarillon({ dataDir })
  await instance.ready()
  const running = processesOf(dataDir).length
  expect((await carillon('account list')).out).toContain('ana@cedar.example')
  expect(await carillon('backup monday.backup')).toMatchObject({ code: 0, err: '' })
  for (const line of ['mode switch production --yes', 'restore monday.backup']) {
    expect(await carillon(line)).toMatchObject({ code: 1, err: `Carillon runs on ${dataDir}. Stop it first.\n` })
  }
  expect(processesOf(dataDir).length).toBe(running)
  instance.process.kill('SIGTERM')
  await instance.exit

  const elsewhere = join(scratch.path, 'elsewhere')
  mkdirSync(elsewhere)
  copyFileSync(join(dataDir, 'secret.key'), join(elsewhere, 'secret.key'))
  const restored = await carillon('restore monday.backup', elsewhere)
  expect(restored).toMatchObject({
    code: 0,
    err: '',
    out: expect.stringMatching(/in sandbox mode\.\nSending is paused until/),
  })
  expect((await carillon('account list', elsewhere)).out).toContain('ana@cedar.example')
  expect((await carillon('mode show', elsewhere)).out).toContain('Sending is paused')
  expect(await carillon('restore monday.backup', elsewhere)).toMatchObject({
    code: 1,
    err: expect.stringContaining('already has data'),
  })
  expect(processesOf(scratch.path)).toEqual([])
}, 180_000)

test('mode switch records the new mode in the data directory', async () => {
  await carillon('account create --email ana@cedar.example')
  const marker = () => JSON.parse(readFileSync(join(dataDir, 'carillon.json'), 'utf8')).mode
  expect((await carillon('mode switch production')).out).toContain('Add --yes to do it.')
  expect(marker()).toBe('sandbox')
  expect(await carillon('mode switch production --yes')).toMatchObject({ code: 0, err: '' })
  expect(marker()).toBe('production')
  expect((await carillon('mode show')).out).toMatch(/^production\nSending is paused/)
  const rejected = startCarillon({ dataDir })
  expect(await rejected.exit).toMatchObject({ code: 1 })
  expect(rejected.output()).toContain('is in production mode, but CARILLON_MODE is sandbox')
  expect(existsSync(join(dataDir, 'lock'))).toBe(false)
}, 60_000)

test('an invalid command line exits with code 2 and a failed command with code 1, without a stack trace', async () => {
  expect(await carillon('key create')).toMatchObject({
    code: 2,
    out: '',
    err: expect.stringMatching(/^--account is required/),
  })
  expect(await carillon('nonsense')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^Unknown command: nonsense/),
  })
  const help = await carillon('--help')
  expect(help).toMatchObject({ code: 0, err: '', out: expect.stringContaining('account create') })
})
