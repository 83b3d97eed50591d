import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { expect, test } from 'vitest'
import { transitions } from './transitions.ts'

// Only log/ writes the tables of the message log, and only according to the table of transitions.

const root = join(import.meta.dirname, '..')
const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((path) => path.split(sep).join('/'))
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
const logSources = sources.filter(({ path }) => path.startsWith('log/'))

const WRITE =
  /\b(?:insert\s+into|update|delete\s+from|truncate|merge\s+into)\s+(?:only\s+)?(?:message_log\w*|submits\w*|message_counters|send_chunks|expansions|message_ranges|received_counts|\$\{[^}]*(?:logTable|submitsTable)\()/gi

/** Returns the statements in a source text that write to the log's tables. */
const writesIn = (text: string) => [...text.matchAll(WRITE)].map(([found]) => found)

test.each([
  ['insert into message_log (id) values (1)', 1],
  ['update message_counters c set queued = 0', 1],
  ['delete\n  from send_chunks', 1],
  [`update \${logTable(day)} l set state = $1`, 1],
  [`insert into \${raw(submitsTable(day))} (log_id)`, 1],
  ['update expansions set cursor_phone = 1', 1],
  ['select * from message_log for update', 0],
  ['insert into submit_attempts (log_id) values (1)', 0],
])('counts the writes in: %s', (text, writes) => {
  expect(writesIn(text)).toHaveLength(writes)
})

test('no other folder writes to the tables of the log', () => {
  const others = sources.filter(({ path }) => !path.startsWith('log/'))
  expect(others.length).toBeGreaterThan(200)
  expect(others.flatMap(({ path, text }) => writesIn(text).map((write) => `${path}: ${write}`))).toEqual([])
  expect(logSources.flatMap(({ text }) => writesIn(text)).length).toBeGreaterThan(20)
})

test('no statement assigns a literal state', () => {
  const assigned = logSources.flatMap(({ path, text }) => {
    const literals = text.matchAll(/(?:\bset\s+|,\s*\n\s*)state\s*=\s*'\w+'|'\w+'(?:\s+end)?::message_state/g)
    return [...literals].map(([found]) => `${path}: ${found}`)
  })
  expect(assigned).toEqual([])
})

test('only counters.sql.ts changes counters', () => {
  const writers = logSources.filter(({ text }) => /\b(?:update|insert\s+into)\s+message_counters\b/.test(text))
  expect(writers.map(({ path }) => path)).toEqual(['log/counters.sql.ts'])
})

test('each transition is used by a statement', () => {
  const source = logSources.filter(({ path }) => path !== 'log/transitions.ts').map(({ text }) => text)
  const unused = Object.keys(transitions).filter((name) => !source.some((text) => text.includes(`'${name}'`)))
  expect(unused).toEqual([])
})
