import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { removalOptions, removeOldDays } from './remove-days.ts'

// Removing a day of the log never delays texts: each of its changes of tables gives way to sessions that use them.

const oldDay = '2020-03-02'
const phones = Array.from({ length: 200 }, (_, n) => 2_065_560_100 + n)

let sending: Awaited<ReturnType<typeof startSending>>
let filesDir: string
let statements = 0
const change = (sql: string, values: unknown[] = []) => sending.db.exec(`change_${++statements}`, sql, values)

beforeEach(async () => {
  filesDir = mkdtempSync(join(tmpdir(), 'carillon-archives-'))
  sending = await startSending({ latencyMs: 5 })
  await sending.subscribe(...phones)
  await change('select ensure_log_day($1)', [oldDay])
  await change(
    `with message as (
       insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at,
                             accepted_at, sent_at, closed_at, billed_at, reported_at)
       values ($1, $2, $3, 'broadcast', 'Soup', 'subscribed', 1, 'sent', $4, $5, $5, $5, $5, $5, $5) returning id
     ), ranges as (
       insert into message_ranges select id, 16384, 16384 + 2999 from message)
     insert into message_log (id, logged_on, message_id, phone, state, part_count, submitted_at, closed_at)
     select 16384 + n, $4, message.id, 2065560000 + n, 'delivered', 1, $5, $5 from message, generate_series(0, 2999) n`,
    [sending.list.accountId, sending.list.id, sending.shortCode.id, oldDay, `${oldDay}T18:00:00Z`],
  )
})
afterEach(async () => {
  await sending.stop()
  rmSync(filesDir, { recursive: true, force: true })
})

const remove = () => {
  const rt = { ...sending.rt, config: { ...sending.rt.config, messageLogDays: 30, filesDir } }
  return removeOldDays(rt, new AbortController().signal, { ...removalOptions, groupRows: 500 })
}

async function state(): Promise<string | undefined> {
  const [row] = await sending.db.many<{ state: string }>('state', 'select state from log_archives')
  return row?.state
}

/** Reads the log again and again until `work` ends, as sending does, and returns the longest time that it took. */
async function longestRead(work: Promise<unknown>): Promise<number> {
  let isOver = false
  const over = () => {
    isOver = true
  }
  work.then(over, over)
  let longest = 0
  while (!isOver) {
    const start = performance.now()
    await sending.db.many('read_log', 'select id from message_log where phone = $1 order by id desc limit 1', [
      phones[0],
    ])
    longest = Math.max(longest, performance.now() - start)
  }
  await work
  return longest
}

test('texts are sent while a day is archived and removed', async () => {
  await sending.startGateway()
  const removal = remove()
  const id = await sending.broadcast()
  const longest = await longestRead(Promise.all([removal, sending.waitForCounters(id, { delivered: phones.length })]))
  expect(await state()).toBe('dropped')
  expect(longest).toBeLessThan(900)
})

test('the removal gives way to a long transaction, and texts do not wait for either', async () => {
  await sending.startGateway()
  const reader = new pg.Client({ connectionString: sending.rt.databaseUrl })
  await reader.connect()
  await reader.query('begin isolation level repeatable read')
  await reader.query('select count(*) from message_log')
  const removal = remove()
  const id = await sending.broadcast()
  const sent = sending.waitForCounters(id, { delivered: phones.length })
  const longest = await longestRead(Promise.all([removal, sent]))
  expect(longest).toBeLessThan(900)
  // the removal has begun, and waits for its next attempt
  expect(await state()).toBe('verified')
  expect((await reader.query(`select count(*)::int as n from message_log_20200302`)).rows).toEqual([{ n: 3_000 }])
  // another attempt finds what was begun, and gives way again
  await change('update log_archives set due_at = started_at')
  await longestRead(remove())
  expect(await state()).toBe('verified')
  await reader.end()
  await waitFor(async () => {
    await change('update log_archives set due_at = started_at')
    await remove()
    return (await state()) === 'dropped'
  })
  expect(await sending.db.many('tables', `select from pg_class where relname ~ '20200302'`)).toEqual([])
})
