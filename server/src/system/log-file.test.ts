import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LogFile, lastLines } from './log-file.ts'
import { makeLogger } from './logger.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-log-'))
  path = join(folder, 'api.log')
})

afterEach(() => rmSync(folder, { recursive: true }))

const linesOf = (file: string) => readFileSync(file, 'utf8').split('\n').slice(0, -1)

/** All lines of the log, the oldest first. */
const linesIn = () =>
  [4, 3, 2, 1, 0]
    .map((n) => (n === 0 ? path : `${path}.${n}`))
    .filter((file) => existsSync(file))
    .flatMap(linesOf)

const numbered = (from: number, count: number) => Array.from({ length: count }, (_, n) => `line ${from + n}`)

function writeAll(log: LogFile, lines: string[]) {
  for (const line of lines) log.write(`${line}\n`)
}

test('a log has five private files of limited size, with the newest lines, each once and in order', () => {
  const log = new LogFile(path, 1_000)
  writeAll(log, numbered(0, 3_000))
  log.close()
  expect(readdirSync(folder).sort()).toEqual(['api.log', 'api.log.1', 'api.log.2', 'api.log.3', 'api.log.4'])
  const files = readdirSync(folder).map((name) => statSync(join(folder, name)))
  expect(files.every(({ size, mode }) => size <= 1_000 && (mode & 0o777) === 0o600)).toBe(true)
  const found = linesIn()
  expect(found.length).toBeGreaterThan(400)
  expect(found).toEqual(numbered(3_000 - found.length, found.length))
})

test('a process that was killed at any step of a rotation loses no line', () => {
  const run = (from: number) => {
    // no close, like a kill
    writeAll(new LogFile(path, 200), numbered(from, 40))
  }
  run(0)
  // killed before .1 was written
  renameSync(`${path}.1`, `${path}.2`)
  run(40)
  // killed between link and unlink
  linkSync(path, join(folder, 'full'))
  for (const n of [3, 2, 1]) if (existsSync(`${path}.${n}`)) renameSync(`${path}.${n}`, `${path}.${n + 1}`)
  renameSync(join(folder, 'full'), `${path}.1`)
  expect(statSync(path).ino).toBe(statSync(`${path}.1`).ino)
  run(80)
  const found = linesIn()
  expect(found.slice(-60)).toEqual(numbered(60, 60))
  expect(new Set(found).size).toBe(found.length)
})

test('a gap in the numbers of the files is filled before the oldest file is removed', () => {
  for (const n of [1, 3, 4]) writeFileSync(`${path}.${n}`, `old ${n}\n`)
  writeAll(new LogFile(path, 10), ['first', 'second'])
  expect(linesIn()).toEqual(['old 4', 'old 3', 'old 1', 'first', 'second'])
})

test('two processes that rotate the same log lose no line', () => {
  const logs = [new LogFile(path, 500, 0), new LogFile(path, 500, 1_000_000)]
  for (let n = 0; n < 100; n += 2) {
    logs[0]?.write(`line ${n}\n`)
    logs[1]?.write(`line ${n + 1}\n`)
  }
  expect(linesIn().sort()).toEqual(numbered(0, 100).sort())
})

test('a rotation that another one overtakes replaces no file', () => {
  const log = new LogFile(path, 10)
  log.write('first\n')
  // the other one has linked the file, and not removed its first name yet
  linkSync(path, `${path}.1`)
  log.write('second\n')
  log.write('third\n')
  expect(linesIn().filter((line) => line !== 'first')).toEqual(['second', 'third'])
})

test('while another process rotates, lines are appended, and no file is renamed or removed', () => {
  const lock = `${path}.lock`
  const log = new LogFile(path, 20)
  log.write('first\n')
  writeFileSync(lock, '')
  writeAll(log, ['second', 'third', 'fourth'])
  expect(readdirSync(folder)).toEqual(['api.log', 'api.log.lock'])
  // between link and unlink of the other one
  linkSync(path, `${path}.1`)
  writeAll(new LogFile(path, 1_000), ['fifth'])
  expect(linesOf(path)).toEqual(['first', 'second', 'third', 'fourth', 'fifth'])
  unlinkSync(path)
  unlinkSync(lock)
  writeAll(log, ['sixth'])
  expect(linesOf(path)).toEqual(['sixth'])
  expect(linesOf(`${path}.1`)).toHaveLength(5)
})

test('the lock of a process that was killed ends after a few seconds', () => {
  const lock = `${path}.lock`
  const log = new LogFile(path, 10)
  writeFileSync(lock, '')
  writeAll(log, ['first', 'second'])
  expect(linesOf(path)).toHaveLength(2)
  utimesSync(lock, new Date(), new Date(Date.now() - 6_000))
  writeAll(log, ['third', 'fourth'])
  expect(linesOf(`${path}.1`)).toEqual(['first', 'second', 'third'])
  expect(linesOf(path)).toEqual(['fourth'])
})

test('a file that is removed, moved or emptied while it is written is replaced', () => {
  const log = new LogFile(path, 10_000, 0)
  log.write('first\n')
  unlinkSync(path)
  log.write('second\n')
  expect(linesIn()).toEqual(['second'])
  renameSync(path, `${path}.1`)
  log.write('third\n')
  expect(linesIn()).toEqual(['second', 'third'])
  writeFileSync(path, '')
  log.write('fourth\n')
  expect(linesIn()).toEqual(['second', 'fourth'])
  rmSync(folder, { recursive: true })
  log.write('fifth\n')
  expect(linesIn()).toEqual(['fifth'])
})

test.skipIf(!existsSync('/dev/full'))(
  'a full disk does not throw, and the log reports the number of lost lines',
  () => {
    symlinkSync('/dev/full', path)
    const log = new LogFile(path, 1_000, 0)
    writeAll(log, numbered(0, 5))
    unlinkSync(path)
    writeAll(log, ['after'])
    const [report, ...others] = linesIn()
    expect(JSON.parse(report ?? '')).toMatchObject({ level: 40, lost: 5, msg: 'log lines lost' })
    expect(others).toEqual(['after'])
  },
)

test('a log that cannot be rotated stops at twice its size, and goes on when it can', () => {
  const log = new LogFile(path, 1_000, 0)
  log.write('first\n')
  // a directory that is not empty cannot be renamed over another one
  for (const n of [1, 2, 3, 4]) mkdirSync(join(`${path}.${n}`, 'full'), { recursive: true })
  writeAll(log, numbered(0, 1_000))
  expect(statSync(path).size).toBeGreaterThan(1_900)
  expect(statSync(path).size).toBeLessThan(2_100)
  for (const n of [1, 2, 3, 4]) rmSync(`${path}.${n}`, { recursive: true })
  log.write('last\n')
  const lost = JSON.parse(linesIn().at(-2) ?? '').lost
  expect(linesIn()).toHaveLength(1 + 1_000 - lost + 2)
})

test('output in pieces is written in whole lines, in UTF-8, without characters that control a terminal', () => {
  const log = new LogFile(path, 60)
  const text = numbered(0, 20)
    .map((line) => `${line} ä\u001b\n`)
    .join('')
  for (let at = 0; at < text.length; at += 7) log.append(text.slice(at, at + 7))
  log.append('\twithout end')
  expect(linesIn().at(-1)).toBe('line 19 ä\\u001b')
  log.close()
  expect(linesIn().at(-1)).toBe('\twithout end')
  expect(lastLines(path, 1)).toBe('\n  \twithout end')
})

test('a line that is too long is cut, and keeps its level', () => {
  const log = new LogFile(path, 1e6)
  makeLogger({ role: 'api' }, 'info', log).error({ value: 'x'.repeat(1e6) }, 'long')
  log.append('y'.repeat(100_000))
  log.append(`${'y'.repeat(100_000)}\nnext\n`)
  const lines = linesIn()
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(10_000)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 50,
    msg: 'log line too long',
    start: expect.stringContaining('"role":"api"'),
  })
  expect(lines.at(-1)).toBe('next')
})

test('a logger escapes characters that control a terminal and that JSON does not escape', () => {
  const log = new LogFile(path, 1e6)
  makeLogger({ role: 'api' }, 'info', log).info({ value: '\u009b31m\u202e\u007f' }, 'odd')
  expect(linesIn()[0]).toContain('\\u009b31m\\u202e\\u007f')
  expect(JSON.parse(linesIn()[0] ?? '').value).toBe('\u009b31m\u202e\u007f')
})
