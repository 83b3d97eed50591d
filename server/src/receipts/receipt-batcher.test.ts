import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSent, markSubmitting, markUnknown } from '../log/marks.queries.ts'
import type { Applied } from '../log/receipt.ts'
import { applyReceipts } from '../log/receipts.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { ReceiptBatcher } from './receipts.ts'

let database: TestDatabase
let connectionId: number
beforeEach(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
})
afterEach(() => database.close())

function add(batcher: ReceiptBatcher, smscId: string, phone: number | null = null): void {
  const defaults = { reason: null, carrierStatus: 'DELIVRD', submitDate: null, excerpt: null, reference: null }
  const receipt = { smscId, state: 'delivered' as const, connectionId, phone, shortCode: '77777', ...defaults }
  batcher.add({ ...receipt, receivedAt: new Date() }, () => {})
}

test('a receipt is applied although its text changes from unknown to sent at the same time', async () => {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  const { phone } = await make.subscriber(database.db, { listId: list.id })
  const { id } = await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'x'.repeat(200) })
  while (await expandOnce(rt));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const rows = await listQueued(database.db, chunk)
  const [logId = 0] = await markSubmitting(database.db, chunk, rows, new Date())
  const day = chunk.loggedOn
  await markSent(database.db, day, connectionId, [{ logId, phone, part: 0, smscId: 'a0', complete: false }])
  await markUnknown(database.db, day, [logId])
  const receipt = (smscId: string) => ({
    smscId,
    phone,
    shortCode: chunk.shortCode,
    state: 'delivered' as const,
    reason: null,
    carrierStatus: 'DELIVRD',
  })
  let applying: Promise<Applied> | undefined
  await database.db.tx(async (tx) => {
    // the late response to the other part
    await markSent(tx, day, connectionId, [{ logId, phone, part: 1, smscId: 'a1', complete: true }])
    applying = applyReceipts(database.db, day, connectionId, [receipt('a0')], new Date())
    await waitFor(async () => {
      const sql = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
      return (await database.db.exec('waiting', sql)) === 1
    })
  })
  expect((await applying)?.known).toEqual([1])
  await applyReceipts(database.db, day, connectionId, [receipt('a1')], new Date())
  expect(await readCounters(database.db, id)).toMatchObject({ delivered: 1, sent: 0, unknown: 0 })
  await checkCounters(database.db, id)
})

test('the first receipt of a day is applied without waiting', async () => {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  const { phone } = await make.subscriber(database.db, { listId: list.id })
  const { id } = await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })
  while (await expandOnce(rt));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const [logId = 0] = await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), new Date())
  await markSent(database.db, chunk.loggedOn, connectionId, [{ logId, phone, part: 0, smscId: 'a1', complete: true }])
  const batcher = new ReceiptBatcher(rt, () => 2)
  add(batcher, 'a1', phone)
  await batcher.flushed()
  expect(await readCounters(database.db, id)).toMatchObject({ delivered: 1, sent: 0 })
  expect(await database.db.many('waiting', 'select smsc_id as id from receipts order by id')).toEqual([])
})

test('receipts are stored even after the partition of a known day was dropped', async () => {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })
  const batcher = new ReceiptBatcher(rt, () => 2)
  add(batcher, 'a1')
  await batcher.flushed()
  const { day } = await database.db.one<{ day: string }>(
    'day',
    `update messages set status = 'cancelled', closed_at = now() returning to_char(logged_on, 'YYYYMMDD') as day`,
  )
  await database.db.exec('drop', `drop table submits_${day}`)
  add(batcher, 'a2')
  await batcher.flushed()
  expect(await database.db.many('waiting', 'select smsc_id as id from receipts order by id')).toEqual([
    { id: 'a1' },
    { id: 'a2' },
  ])
})
