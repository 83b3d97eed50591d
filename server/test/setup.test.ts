import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { waitFor } from './wait-for.ts'

// Tests scripts/setup.mjs in a small checkout; every fresh clone tests a real installation of packages.

const setup = join(import.meta.dirname, '../../scripts/setup.mjs')
const lock = (version: string) => JSON.stringify({ packages: { '': {}, 'node_modules/left': { version } } })

let checkout: string

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'carillon-setup-'))
  cpSync(setup, join(checkout, 'scripts', 'setup.mjs'))
  mkdirSync(join(checkout, 'node_modules', '.bin'), { recursive: true })
  writeFileSync(join(checkout, 'node_modules', '.bin', 'node'), '')
  writeFileSync(join(checkout, 'package.json'), JSON.stringify({ name: 'small', dependencies: { left: '*' } }))
  writeFileSync(join(checkout, 'package-lock.json'), lock('1.0.0'))
  writeFileSync(join(checkout, 'node_modules', '.package-lock.json'), lock('1.0.0'))
})

afterEach(() => rmSync(checkout, { recursive: true }))

function startSetup(env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [join(checkout, 'scripts', 'setup.mjs'), 'test'], {
    env: { ...process.env, npm_execpath: undefined, npm_config_cache: join(checkout, 'cache'), ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += String(bytes)
    })
  }
  const exit = new Promise((resolve) => child.once('close', resolve))
  return { exit, output: () => output }
}

test('the setup prints nothing if node_modules matches the lock file', async () => {
  for (let run = 0; run < 2; run++) {
    const { exit, output } = startSetup()
    expect(await exit).toBe(0)
    expect(output()).toBe('')
  }
})

test('the setup installs packages if node_modules does not match, and prints the reason of a failed installation', async () => {
  const { port, close } = await closedPort()
  close()
  writeFileSync(join(checkout, 'package-lock.json'), lock('2.0.0'))
  const { exit, output } = startSetup({
    npm_config_registry: `http://127.0.0.1:${port}/`,
    npm_config_fetch_retries: '0',
  })
  expect(await exit).toBe(1)
  expect(output()).toContain('Installing packages')
  expect(output()).toContain('The package registry cannot be reached')
  expect(output()).not.toMatch(/\n {4}at /)
})

test('the setup waits for another setup that is running, and continues after one that was killed', async () => {
  rmSync(join(checkout, 'node_modules', '.package-lock.json'))
  const lockDir = join(checkout, '.carillon-setup')
  mkdirSync(lockDir)
  const waiting = startSetup()
  await waitFor(() => waiting.output().includes('Another setup is running'))
  expect(waiting.output()).not.toContain('Installing')
  writeFileSync(join(checkout, 'node_modules', '.package-lock.json'), lock('1.0.0'))
  rmSync(lockDir, { recursive: true })
  expect(await waiting.exit).toBe(0) // the other setup installed the packages
  expect(waiting.output()).not.toContain('Installing')

  rmSync(join(checkout, 'node_modules', '.carillon-install'))
  rmSync(join(checkout, 'node_modules', '.package-lock.json'))
  mkdirSync(lockDir)
  utimesSync(lockDir, new Date(0), new Date(0))
  const next = startSetup({ npm_config_registry: 'http://127.0.0.1:1/', npm_config_fetch_retries: '0' })
  await waitFor(() => next.output().includes('Installing'))
  await next.exit
})

async function closedPort() {
  const server = createServer().listen(0, '127.0.0.1')
  await waitFor(() => server.listening)
  const { port } = server.address() as { port: number }
  return { port, close: () => server.close() }
}
