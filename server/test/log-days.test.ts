import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closeOverdue } from '../src/broadcasts/close.ts'
import { poolDb, setStatementObserver } from '../src/db/db.ts'
import { makePool } from '../src/db/pool.ts'
import { makeApp } from '../src/http/app.ts'
import { interpretInbound, storeInbound } from '../src/inbound/inbound.ts'
import { storeClicks } from '../src/links/clicks.ts'
import { insertWaitingReceipts } from '../src/receipts/waiting.queries.ts'
import { settleWaitingReceipts } from '../src/receipts/waiting.ts'
import type { Runtime } from '../src/runtime.ts'
import { type ApiCaller, makeCaller } from './api.ts'
import { make } from './make.ts'
import { startSending } from './sending.ts'
import { listSql } from './sql-source.ts'
import { waitFor } from './wait-for.ts'

// After a year, the log has 400 days. What a request or a gateway does must not depend on them: PostgreSQL opens, locks and plans each
// partition of a statement that names the whole log, also those that it then does not read. This test locks all days but those in
// use, so that a statement that touches another one waits for the lock, and fails.

const kept = 400
let sending: Awaited<ReturnType<typeof startSending>>
let api: ApiCaller
let locker: pg.Client
let watcher: pg.Client
let app: Awaited<ReturnType<typeof makeApp>>
let pool: pg.Pool
let rt: Runtime
const statements = new Set<string>()

beforeAll(async () => {
  setStatementObserver((name) => statements.add(name))
  sending = await startSending({ responseDeadlineMs: 500 })
  const { db } = sending
  await db.exec('days', `select ensure_log_day(current_date + 1 - n) from generate_series(0, ${kept}) n`)
  // plans for all parameters, as gateways have them: those for given days may leave out the other ones
  pool = makePool(sending.rt.databaseUrl, sending.rt.log, {
    max: 8,
    settings: { plan_cache_mode: 'force_generic_plan' },
  })
  rt = { ...sending.rt, db: poolDb(pool) }
  app = await makeApp(rt)
  api = await makeCaller(db, app)
  locker = new pg.Client({ connectionString: sending.rt.databaseUrl })
  watcher = new pg.Client({ connectionString: sending.rt.databaseUrl })
  await Promise.all([locker.connect(), watcher.connect()])
  await locker.query('begin')
  const { rows } = await locker.query<{ tables: string }>(`
    select string_agg(inhrelid::regclass::text, ', ') as tables from pg_inherits
     where inhparent in ('message_log'::regclass, 'submits'::regclass)
       and to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD') not between current_date - 1 and current_date + 1`)
  await locker.query(`lock table ${rows[0]?.tables} in access exclusive mode`)
}, 120_000)
afterAll(async () => {
  await Promise.all([locker?.end(), watcher?.end()])
  await app?.close()
  await pool?.end()
  await sending?.stop()
})

/** Rejects with the statement that waits for one of the locked days, until `isOver` returns true. */
async function watchLocks(isOver: () => boolean): Promise<void> {
  const { rows: lockers } = await locker.query<{ pid: number }>('select pg_backend_pid() as pid')
  while (!isOver()) {
    const { rows } = await watcher.query<{ query: string }>(
      `select query from pg_stat_activity where $1 = any(pg_blocking_pids(pid)) and query not ilike '%vacuum%'`,
      [lockers[0]?.pid],
    )
    if (rows[0]) throw new Error(`a statement waits for a day that it does not need: ${rows[0].query}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Runs `work` and fails if a statement waits for a locked day. */
async function withoutOtherDays(work: () => Promise<void>): Promise<void> {
  let isOver = false
  const working = work().finally(() => {
    isOver = true
  })
  working.catch(() => {})
  try {
    await watchLocks(() => isOver)
  } catch (error) {
    await locker.query('rollback')
    throw error
  }
  await working
}

test('requests and gateways touch only the days of messages that are not closed', { timeout: 60_000 }, () =>
  withoutOtherDays(async () => {
    const { db } = rt
    const { code, id: shortCodeId } = api.shortCode
    const { accountId } = api
    const list = await make.list(db, { accountId, shortCodeId })
    await db.exec('feed', 'update accounts set event_feed = true where id = $1', [accountId])
    const [first, second, third] = [2_065_560_001, 2_065_560_002, 2_065_560_003]
    // its responses are lost, so its receipts have unknown ids
    const lost = 2_065_550_105
    for (const phone of [first, second, third, lost]) await make.subscriber(db, { listId: list.id, phone })
    const ok = async (response: Promise<{ status: number; text: string; body: Record<string, unknown> }>) => {
      const { status, text, body } = await response
      if (status >= 300) throw new Error(`${status} ${text}`)
      return body as Record<string, Record<string, never>>
    }
    const { id: connectionId } = await make.connection(db, { name: 'inbound', enabled: false })
    const mo = async (phone: number, content: string) => {
      await storeInbound(db, {
        connectionId,
        shortCode: code,
        phone,
        content,
        raw: Buffer.from(content),
        dataCoding: 0,
        receivedAt: rt.clock.now(),
      })
      while (await interpretInbound(rt));
    }

    // queued texts, without a gateway
    const { message } = await ok(api.post(`/lists/${list.id}/messages`, { message: { content: 'Soup' } }))
    const path = `/lists/${list.id}/messages/${message?.id}`
    await waitFor(async () => (await sending.counters(Number(message?.id))).queued === 4)
    await ok(api.get(`/lists/${list.id}/subscribers/${first}`))
    await ok(api.delete(`/lists/${list.id}/subscribers/${first}`))
    await mo(second, 'STOP')
    expect(await sending.counters(Number(message?.id))).toMatchObject({ queued: 2, suppressed: 2 })

    const { message: other } = await ok(api.post(`/lists/${list.id}/messages`, { message: { content: 'Tea' } }))
    await waitFor(async () => (await sending.counters(Number(other?.id))).queued === 2)
    await ok(api.post(`/lists/${list.id}/messages/${other?.id}/cancel`))

    const gateway = await sending.startGateway()
    const { transactional_message: text } = await ok(
      api.post('/transactional_messages', {
        transactional_message: { number: String(third), content: 'Ready' },
      }),
    )
    await waitFor(async () => (await sending.counters(Number(message?.id))).delivered === 2, { timeoutMs: 20_000 })
    await ok(api.get(`/transactional_messages/${text?.id}/recipients/${third}`))
    await ok(api.get(path))
    await ok(api.get(`${path}/recipients`))
    await ok(api.get(`${path}/recipients/${third}`))
    for (const content of ['Thanks', 'HELP', 'STOP', 'START', 'Hello']) await mo(third, content)

    // a receipt that matches no text
    const receipt = {
      connectionId,
      phone: third,
      shortCode: code,
      reference: null,
      state: 'delivered' as const,
      reason: null,
    }
    const details = {
      carrierStatus: 'DELIVRD 000',
      submitDate: '2603021000',
      excerpt: 'Soup',
      receivedAt: rt.clock.now(),
    }
    await insertWaitingReceipts(db, [{ ...receipt, ...details, smscId: 'none' }])
    await waitFor(() => settleWaitingReceipts(rt))
    const link = await db.one<{ id: number }>(
      'link',
      `insert into links (message_id, position, link) values ($1, 0, 'https://soup.example') returning id`,
      [message?.id],
    )
    const click = { linkId: link.id, phone: third, clickedAt: rt.clock.now(), rule: null }
    await db.tx((tx) => storeClicks(tx, [click]))
    const unused = await make.connection(db, { name: 'unused', enabled: false })
    await db.exec('operator', 'update accounts set is_operator = true where id = $1', [accountId])
    await ok(api.delete(`/connections/${unused.id}`))

    // the same after all messages are closed
    await gateway.stop()
    const later = { ...rt, clock: { now: () => new Date(Date.now() + 100 * 3_600_000) } }
    while (await closeOverdue(later));
    await ok(api.get(`/lists/${list.id}/subscribers/${third}`))
    for (const content of ['Thanks', 'HELP', 'STOP']) await mo(third, content)
  }),
)

const readers =
  /\b(?:from|join|into|update|only|table)\s+(?:message_log|submits)\b(?!_)|\b(?:log_rows|submits_with_ids|count_received|open_log_days)\(/

/** The statements and fragments on several days, by file and name, with the statements that the test above runs. */
const bounded: Record<string, string[]> = {
  'links/clicks.queries.ts list_clicked_texts': ['list_clicked_texts'],
  'log/last-texts.sql.ts openTexts': ['find_last_list_texts', 'insert_reply_events', 'count_unsubscribes'],
  'log/opt-out.queries.ts openRows': ['list_queued_days', 'count_submitting'],
  'log/receipts.queries.ts list_log_days': ['list_log_days'],
  // inserts, for which PostgreSQL opens only the partition of the row
  'log/recipients.sql.ts loggedOn': ['insert_addressed'],
  'log/submits.queries.ts insert_found_submit': ['insert_found_submit'],
  'receipts/waiting.queries.ts list_unknown_rows': ['list_unknown_rows'],
  'receipts/waiting.queries.ts find_by_alternative_id': ['find_by_alternative_id'],
  'receipts/waiting.queries.ts find_by_id_only': ['find_by_id_only'],
  'subscribers/received.sql.ts raw': ['find_subscriber_details'],
}

/** Background jobs, with the days that they read. */
const jobs: Record<string, string> = {
  'opt-ins/soft-bounces.queries.ts claim_soft_bouncers':
    'the days since the first soft bounce of a number with seven of them',
}

test('no other statement reads or writes the whole log', () => {
  const found = listSql().filter(({ text }) => readers.test(text))
  const names = found.map(({ file, name }) => `${file} ${name}`)
  expect(names.sort()).toEqual([...Object.keys(bounded), ...Object.keys(jobs)].sort())
  const expected = Object.values(bounded).flat()
  expect(expected.filter((name) => !statements.has(name))).toEqual([])
})

test('no other function of the schema reads the log', async () => {
  const functions = await sending.db.many<{ name: string }>(
    'functions',
    `select proname as name from pg_proc where pronamespace = current_schema()::regnamespace and prosrc ~ '(message_log|submits|log_rows)' order by 1`,
  )
  expect(functions.map(({ name }) => name)).toEqual([
    'count_received',
    'ensure_log_day',
    'log_rows',
    'submits_with_ids',
  ])
})
