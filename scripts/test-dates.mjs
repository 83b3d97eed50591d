// `npm run test:dates`: runs the suite, PostgreSQL included, on other days than today. Day names select days; other
// arguments are passed to vitest: `npm run test:dates -- leap-day new-year server/src/messages`.
// Requires Linux and Debian's faketime (apt-get install faketime).
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dayMs = 24 * 60 * 60 * 1000
const now = Date.now()
const year = new Date(now).getUTCFullYear()

// A run starts some minutes before a change, so that the tests run before and after it.
const days = {
  tomorrow: now + dayMs,
  'in-40-days': now + 40 * dayMs,
  'leap-day': next((y) => (isLeapYear(y) ? Date.UTC(y, 1, 29, 16) : undefined)),
  // clocks change at 2:00 in Los Angeles, the default zone of an account: second Sunday of March, first Sunday of November
  'clocks-forward': next((y) => sunday(y, 2, 8) + hours(9, 57)),
  'clocks-back': next((y) => sunday(y, 10, 1) + hours(8, 57)),
  // days of the message log are UTC days
  'new-year': next((y) => Date.UTC(y, 11, 31, 23, 57)),
}

/** Returns the first instant of `ofYear` that is later than now. */
function next(ofYear) {
  for (let y = year; ; y++) {
    const instant = ofYear(y)
    if (instant !== undefined && instant > now) return instant
  }
}

function isLeapYear(y) {
  return new Date(Date.UTC(y, 1, 29)).getUTCMonth() === 1
}

/** Returns midnight UTC of the month's first Sunday on or after `day`. */
function sunday(y, month, day) {
  const weekday = new Date(Date.UTC(y, month, day)).getUTCDay()
  return Date.UTC(y, month, day + ((7 - weekday) % 7))
}

function hours(hour, minute) {
  return (hour * 60 + minute) * 60_000
}

/** Returns the path of the library to preload; the MT build is for programs with threads. */
function findLibrary() {
  for (const folder of ['/usr/lib', '/usr/local/lib', '/usr/lib64']) {
    for (const below of ['', ...foldersOf(folder)]) {
      const path = join(folder, below, 'faketime', 'libfaketimeMT.so.1')
      if (spawnSync('test', ['-r', path]).status === 0) return path
    }
  }
}

function foldersOf(folder) {
  try {
    return readdirSync(folder).filter((name) => name.includes('-linux-'))
  } catch {
    return []
  }
}

function environment(library, instant) {
  const seconds = Math.round((instant - Date.now()) / 1000)
  return {
    ...process.env,
    LD_PRELOAD: library,
    // an offset, because with an absolute time each process would start its clock at that time
    FAKETIME: `+${seconds}`,
    // timers use the monotonic clock, which is not shifted
    DONT_FAKE_MONOTONIC: '1',
  }
}

const library = process.platform === 'linux' ? findLibrary() : undefined
if (!library) {
  console.error('test:dates requires libfaketime on Linux: apt-get install faketime')
  process.exit(1)
}

// Tests that cannot run under libfaketime: PostgreSQL's own timeouts never fire (statement_timeout of 0.5 s with 0.9.10; nor
// deadlock_timeout, so that a deadlock lasts for ever), and the times of files are not shifted.
const excluded = [
  'blocks no text for longer than its lease',
  'two lists that swap their words',
  'waits for another setup that is running',
]
const titles = process.argv.includes('-t') ? [] : ['-t', `^(?!.*(${excluded.join('|')}))`]

const args = process.argv.slice(2)
const named = args.filter((arg) => arg in days)
const others = args.filter((arg) => !(arg in days))
const failed = []
for (const name of named.length > 0 ? named : Object.keys(days)) {
  const env = environment(library, days[name])
  console.log(`\n${name}: the tests start at ${new Date(days[name]).toISOString()}`)
  const script = join(dirname(fileURLToPath(import.meta.url)), 'test.mjs')
  const child = spawn(process.execPath, [script, ...titles, ...others], { env, stdio: 'inherit' })
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(1))
    child.once('exit', (exitCode) => resolve(exitCode ?? 1))
  })
  if (code !== 0) failed.push(name)
}
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(', ')}`)
  process.exit(1)
}
