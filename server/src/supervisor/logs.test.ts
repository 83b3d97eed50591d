import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeScratch, startCarillon, waitUntilFree } from '../../test/carillon-process.ts'
import { waitFor } from '../../test/wait-for.ts'
import { signal } from './processes.ts'

// Real processes and a real PostgreSQL; the gateway is a stand-in that fills its log.

let scratch: ReturnType<typeof makeScratch>
let dataDir: string
let logDir: string

beforeEach(() => {
  scratch = makeScratch()
  dataDir = join(scratch.path, 'data')
  logDir = join(dataDir, 'log')
})

afterEach(() => scratch.remove())

const start = (gateway: string) =>
  startCarillon({ dataDir, env: { CARILLON_TEST_GATEWAY: gateway, CARILLON_LOG_FILE_MB: '1' } })

const linesOf = (name: string) =>
  ['.4', '.3', '.2', '.1', '']
    .map((end) => join(logDir, `${name}.log${end}`))
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').trimEnd().split('\n'))

describe.skipIf(process.platform !== 'linux')('the logs of npm start', () => {
  test('are rotated while a role writes and prints, and have its last line after kill -9 of the supervisor', async () => {
    const carillon = start('chatty.ts')
    const port = await carillon.ready()
    const sizes = readdirSync(logDir).map((name) => statSync(join(logDir, name)).size)
    // the role may not have seen the last lines that the supervisor has added
    expect(Math.max(...sizes)).toBeLessThan(1_001_000)
    await waitFor(() => linesOf('gateway').some((line) => line.includes('9000') && line.startsWith('printed')))
    const lines = linesOf('gateway')
    expect(lines).toContain('printed \\u001b[2J9000')
    const records = lines.filter((line) => !line.startsWith('printed')).map((line) => JSON.parse(line))
    const numbers = records.filter(({ msg }) => msg === 'numbered').map(({ line }) => line)
    expect(numbers).toEqual(Array.from({ length: 10_000 }, (_, line) => line))
    expect(linesOf('postgres').join('\n')).toContain('database system is ready to accept connections')

    signal(carillon.supervisorPid(), 'SIGKILL')
    await waitUntilFree(dataDir, port)
    expect(linesOf('gateway').join('\n')).toContain('stopped after the supervisor')
  })

  test('have what a role printed that could not start, also in the error', async () => {
    const script = join(scratch.path, 'unreadable.mjs')
    writeFileSync(script, `console.error('first\\nlast words'); process.exit(3)`)
    const carillon = start(relative(join(import.meta.dirname, '../../test/stand-ins'), script))
    expect(await carillon.exit).toMatchObject({ code: 1 })
    expect(carillon.output()).toContain('gateway failed to start (code 3')
    expect(carillon.output()).toContain('\n  first\n  last words')
    expect(linesOf('gateway')).toContain('last words')
  })
})
