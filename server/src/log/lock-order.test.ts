import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { type Db, poolDb } from '../db/db.ts'
import { makePool } from '../db/pool.ts'
import { planSettings } from '../gateway/gateway.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { markSent } from './marks.queries.ts'
import { applyReceipts } from './receipts.queries.ts'

// Each deadlock costs a second during which the broadcasts concerned make no progress.

let database: TestDatabase
let pool: ReturnType<typeof makePool>
let db: Db
beforeEach(async () => {
  database = await freshDatabase()
  pool = makePool(database.url, pino({ level: 'silent' }), { max: 4, settings: planSettings })
  db = poolDb(pool)
})
afterEach(async () => {
  await pool.end()
  await database.close()
})

type Row = { id: number; phone: number; day: string; key: number }

test('concurrent batches with rows of several broadcasts never deadlock', async () => {
  const { id: connectionId } = await make.connection(db)
  const list = await make.list(db)
  await db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, 2065560000 + n, now(), 'subscribed', '2026-01-01', '2026-01-01' from generate_series(1, 1000) n`,
    [list.id],
  )
  const rt = makeRuntime({ db })
  const messages: number[] = []
  for (let n = 0; n < 12; n++) {
    messages.push((await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })).id)
  }
  while (await expandOnce(rt));
  // one counter row for all database connections, as for messages to single numbers
  await db.exec(
    'submitting',
    `update message_counters c set audience = t.audience, queued = 0, submitting = t.queued
       from message_totals t where t.message_id = c.message_id and c.counter_row = 0`,
  )
  await db.exec('one_row', 'delete from message_counters where counter_row > 0')
  const rows = await db.many<Row>(
    'submit',
    `update message_log set state = 'submitting'
     returning id, phone, logged_on::text as day, (id * 7919) % 10007 as key`,
  )
  rows.sort((a, b) => a.key - b.key)
  const batches = Array.from({ length: 240 }, (_, n) => rows.slice(n * 50, n * 50 + 50).sort((a, b) => a.id - b.id))
  const sent = (batch: Row[], day: string) =>
    markSent(
      db,
      day,
      connectionId,
      batch.map(({ id, phone }) => ({ logId: id, phone, part: 0, smscId: `s${id}`, complete: true })),
    )
  const arrived = { shortCode: '1', state: 'delivered' as const, reason: null, carrierStatus: 'DELIVRD' }
  const applied = (batch: Row[], day: string) =>
    applyReceipts(
      db,
      day,
      connectionId,
      batch.map(({ id, phone }) => ({ ...arrived, smscId: `s${id}`, phone })),
      new Date(),
    )
  const responded: Row[][] = []
  const sender = async () => {
    for (let batch = batches.pop(); batch; batch = batches.pop()) {
      await sent(batch, batch[0]?.day as string)
      responded.push(batch)
    }
  }
  const receiver = async () => {
    while (batches.length > 0 || responded.length > 0) {
      const batch = responded.shift()
      if (batch) await applied(batch, batch[0]?.day as string)
      else await db.one('wait', 'select 1')
    }
  }
  await Promise.all([sender(), sender(), receiver(), receiver()])
  while (responded.length > 0) await receiver()
  for (const id of messages) await checkCounters(db, id)
  const { delivered } = await db.one<{ delivered: number }>(
    'delivered',
    'select sum(delivered)::int as delivered from message_counters',
  )
  expect(delivered).toBe(12_000)
})
