import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { noticesDuring } from '../../test/notices.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import type { Chunk } from '../log/chunk.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { finishChunk } from '../log/leases.queries.ts'
import { markSent, markSubmitting, markUnknown } from '../log/marks.queries.ts'
import { applyReceipts } from '../log/receipts.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { optOut } from '../opt-ins/opt-out.ts'
import { insertWaitingReceipts } from '../receipts/waiting.queries.ts'
import { settleWaitingReceipts } from '../receipts/waiting.ts'
import { referenceOf } from '../sms/reference.ts'
import { closeOverdue } from './close.ts'
import { expandOnce } from './expand.ts'

const hourMs = 3_600_000
const later = (hours: number) => new Date(Date.now() + hours * hourMs)

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
let connectionId: number
let messageId: number
let ids: number[]
let day: string
const phoneOf = (n: number) => 2_065_560_001 + n
const rt = (at = new Date(), db: Db = database.db) => ({ ...makeRuntime({ db }), clock: { now: () => at } })
const close = (hours: number, db?: Db) => closeOverdue(rt(later(hours), db))
const counters = () => readCounters(database.db, messageId)

/** The first of four texts is sent, the others are unknown. The message is sent. */
beforeEach(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
  list = await make.list(database.db)
  for (let n = 0; n < 4; n++) await make.subscriber(database.db, { listId: list.id, phone: phoneOf(n) })
  const content = 'The pantry opens at nine.'
  messageId = (await acceptBroadcast(rt(), { accountId: list.accountId, list, content })).id
  while (await expandOnce(rt()));
  const { chunk, marked } = await markAll(new Date())
  ids = marked
  day = chunk.loggedOn
  await markSent(database.db, day, connectionId, [accepted(0, 'a0')])
  await markUnknown(database.db, day, ids.slice(1))
  await end(chunk)
})
afterEach(() => database.close())

const accepted = (n: number, smscId: string) => ({
  logId: ids[n] as number,
  phone: phoneOf(n),
  part: 0,
  smscId,
  complete: true,
})

async function markAll(now: Date): Promise<{ chunk: Chunk; marked: number[] }> {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now, fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  return { chunk, marked: await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), now) }
}

async function end(chunk: Chunk, at = new Date()) {
  expect(await finishChunk(database.db, chunk)).toBe(true)
  expect(await finishMessages(database.db, at)).toBe(1)
}

const neverMiss = () => database.db.exec('never_miss', `update lists set when_unknown = 'never_miss'`)
const message = () =>
  database.db.one<{ status: string; closed: boolean }>(
    'message',
    'select status, closed_at is not null as closed from messages where id = $1',
    [messageId],
  )
const receiptOf = (n: number, smscId: string) => ({
  smscId,
  state: 'delivered' as const,
  reason: null,
  carrierStatus: 'DELIVRD',
  phone: phoneOf(n),
  shortCode: '1',
})

describe('unknown texts', () => {
  test('stay unknown if the list is never to text anyone twice', async () => {
    await close(73)
    expect(await counters()).toMatchObject({ expired: 1, unknown: 3, queued: 0 })
    expect(await message()).toEqual({ status: 'sent', closed: true })
  })

  test('can be settled after requeuing by a receipt with an excerpt of the content', async () => {
    await neverMiss()
    await close(73)
    const submitDate = new Date().toISOString().replace(/\D/g, '').slice(2, 12)
    const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [
      list.shortCodeId,
    ])
    const receipt = { ...receiptOf(1, 'b1'), shortCode: code, connectionId, reference: null, submitDate }
    await insertWaitingReceipts(database.db, [{ ...receipt, excerpt: 'The pantry opens at ', receivedAt: later(73) }])
    await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt(later(73)))
    expect(await counters()).toMatchObject({ queued: 2, delivered: 1 })
    await checkCounters(database.db, messageId)
  })

  test('are requeued once, and only once, if the list is never to miss anyone', async () => {
    await neverMiss()
    await close(71)
    expect(await counters()).toMatchObject({ sent: 1, unknown: 3, queued: 0 })
    expect(await noticesDuring(database.url, () => close(73))).toEqual(['chunks'])
    expect(await counters()).toMatchObject({ expired: 1, unknown: 0, queued: 3 })
    expect(await message()).toEqual({ status: 'sending', closed: false })
    await checkCounters(database.db, messageId)
    // a message that is being sent is not overdue
    expect(await close(200)).toBe(0)

    const { chunk, marked } = await markAll(later(73))
    expect(marked).toEqual(ids.slice(1))
    await markSent(database.db, day, connectionId, [accepted(1, 'b1'), accepted(2, 'b2')])
    await applyReceipts(database.db, day, connectionId, [receiptOf(1, 'b1')], new Date())
    await markUnknown(database.db, day, [ids[3] as number])
    await end(chunk, later(73))
    await close(144)
    expect(await counters()).toMatchObject({ sent: 1, delivered: 1, unknown: 1 })
    await close(146)
    expect(await counters()).toMatchObject({ expired: 2, delivered: 1, unknown: 1, queued: 0 })
    expect(await message()).toEqual({ status: 'sent', closed: true })
    await checkCounters(database.db, messageId)
  })

  test('are not sent to subscribers who opted out before or after the requeuing', async () => {
    await neverMiss()
    const unsubscribe = (n: number) =>
      optOut(rt(), { accountId: list.accountId, listId: list.id, phone: phoneOf(n), method: 'api', actor: 'key:1' })
    await unsubscribe(1)
    await close(73)
    await unsubscribe(2)
    const { marked } = await markAll(later(73))
    expect(marked).toEqual([ids[3]])
    expect(await counters()).toMatchObject({ submitting: 1, suppressed: 2, unknown: 0, queued: 0 })
    await checkCounters(database.db, messageId)
  })

  test('are not sent again if a receipt reports delivery after the requeuing', async () => {
    await neverMiss()
    await close(73)
    const waiting = { connectionId, submitDate: null, excerpt: null, receivedAt: new Date() }
    const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes')
    const reference = referenceOf(ids[2] as number, 0)
    await insertWaitingReceipts(database.db, [{ ...receiptOf(2, 'c2'), ...waiting, reference, shortCode: code }])
    await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await counters()).toMatchObject({ queued: 2, delivered: 1 })
    const { marked } = await markAll(later(73))
    expect(marked).toEqual([ids[1], ids[3]])
    await checkCounters(database.db, messageId)
  })

  test('are not sent again to people who opted out at the carrier, nor to dead numbers', async () => {
    await neverMiss()
    await close(73)
    const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes')
    const bounced = (n: number, reason: 'opted_out' | 'hard' | 'soft') => ({
      ...receiptOf(n, `b${n}`),
      ...{ state: 'bounced' as const, reason, carrierStatus: 'UNDELIV 001', shortCode: code },
      ...{ connectionId, submitDate: null, excerpt: null, receivedAt: new Date() },
      reference: referenceOf(ids[n] as number, 0),
    })
    await insertWaitingReceipts(database.db, [bounced(1, 'opted_out'), bounced(2, 'hard'), bounced(3, 'soft')])
    await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    // a soft bounce does not prevent the second text
    expect(await counters()).toMatchObject({ queued: 1, bounced: 2, cleanCount: 1 })
    await checkCounters(database.db, messageId)
    const remaining = await database.db.many(
      'remaining',
      `select phone, state from subscribers where list_id = $1 and state <> 'subscribed' order by phone`,
      [list.id],
    )
    expect(remaining).toEqual([
      { phone: phoneOf(1), state: 'unsubscribed' },
      { phone: phoneOf(2), state: 'cleaned' },
    ])
    const { chunk, marked } = await markAll(later(73))
    expect(marked).toEqual([ids[3]])
    await markUnknown(database.db, day, marked)
    await end(chunk, later(73))
  })

  test('do not keep the message open when receipts settle all of them after the requeuing', async () => {
    await neverMiss()
    await close(73)
    for (const n of [1, 2, 3]) {
      const hard = { state: 'bounced' as const, reason: 'hard' as const, carrierStatus: 'UNDELIV 001' }
      await database.db.exec(
        'known',
        'insert into submits (connection_id, smsc_id, log_id, phone, part, logged_on) values ($1, $2, $3, $4, 0, $5)',
        [connectionId, `b${n}`, ids[n], phoneOf(n), day],
      )
      await applyReceipts(database.db, day, connectionId, [{ ...receiptOf(n, `b${n}`), ...hard }], new Date())
    }
    expect(await counters()).toMatchObject({ queued: 0, bounced: 3 })
    expect(await finishMessages(database.db, later(73))).toBe(1)
    const { chunk, marked } = await markAll(later(73))
    expect(marked).toEqual([])
    expect(await finishChunk(database.db, chunk)).toBe(true)
    await close(146)
    expect(await message()).toEqual({ status: 'sent', closed: true })
    await checkCounters(database.db, messageId)
  })

  test.each<[string, string]>([
    ['the list is deleted', 'update lists set deleted_at = now()'],
    ["the message's deadline has passed", `update messages set deliver_by = now() + interval '1 hour'`],
    ['the message is a system message', `update messages set kind = 'system'`],
    ['the message was cancelled', `update messages set status = 'cancelled', cancelled_at = now()`],
  ])('stay unknown if %s', async (_, change) => {
    await neverMiss()
    await database.db.exec('change', change)
    await close(73)
    expect(await counters()).toMatchObject({ expired: 1, unknown: 3, queued: 0 })
    expect(await message()).toMatchObject({ closed: true })
  })

  test('stay unknown if the message is cancelled just before they are requeued', async () => {
    await neverMiss()
    const { db } = database
    const cancelling: Db = {
      ...db,
      tx: async (work) => {
        await db.exec('cancel', `update messages set status = 'cancelled', cancelled_at = now()`)
        return db.tx(work)
      },
    }
    await close(73, cancelling)
    expect(await counters()).toMatchObject({ unknown: 3, queued: 0 })
    expect((await message()).status).toBe('cancelled')
  })

  test('wait for their next window if the chunk has a location', async () => {
    await neverMiss()
    await database.db.exec('location', `update send_chunks set location = 'WA', closes_at = now()`)
    await close(73)
    expect(await counters()).toMatchObject({ queued: 3 })
    // the window is closed, so that a worker sets the next one
    const window = 'select done_at is null and closes_at <= due_at as closed from send_chunks'
    expect(await database.db.one('window', window)).toEqual({ closed: true })
  })

  test('are requeued once even if the worker dies between any two statements', async () => {
    await neverMiss()
    for (let survived = 0; ; survived++) {
      let remaining = survived
      const runOrDie = async (work: () => Promise<unknown>) => {
        if (remaining-- === 0) throw new Error('killed')
        return work()
      }
      const mortal = (db: Db): Db =>
        ({
          ...db,
          one: (...call: Parameters<Db['one']>) => runOrDie(() => db.one(...call)),
          exec: (...call: Parameters<Db['exec']>) => runOrDie(() => db.exec(...call)),
          tx: (work: (tx: Db) => Promise<unknown>) => db.tx((tx) => work(mortal(tx))),
        }) as Db
      await close(73, mortal(database.db))
      // the next worker need not wait for the retry
      const deaths = await database.db.exec('retry', 'delete from message_failures')
      await checkCounters(database.db, messageId)
      const { unknown, queued } = await counters()
      expect(unknown + queued).toBe(3)
      // an opt-out does not find queued texts of a message in status `sent`
      if (queued > 0) expect(await message()).toEqual({ status: 'sending', closed: false })
      if (deaths === 0) break
      expect((await message()).closed).toBe(false)
    }
    expect(await counters()).toMatchObject({ queued: 3, expired: 1 })
  })

  test('are requeued once by two concurrent workers', async () => {
    await neverMiss()
    await Promise.all([close(73), close(73)])
    expect(await counters()).toMatchObject({ queued: 3, unknown: 0, expired: 1 })
    await checkCounters(database.db, messageId)
  })
})

test('a closed broadcast has ranges of its log ids instead of chunks; those of consecutive blocks are one range', async () => {
  const [first = 0, last = 0] = [ids[0], ids.at(-1)]
  await database.db.exec(
    'more_chunks',
    `insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id, done_at)
     select message_id, short_code_id, logged_on, lane, due_at, first_log_id + n * 16384, last_log_id + n * 16384, done_at
       from send_chunks, unnest('{1,2,4}'::int[]) n`,
  )
  for (let rounds = 0; rounds < 3; rounds++) await close(73)
  expect(await message()).toMatchObject({ closed: true })
  const read =
    'select first_log_id as first, last_log_id as last from message_ranges where message_id = $1 order by first'
  expect(await database.db.many('ranges', read, [messageId])).toEqual([
    { first, last: last + 2 * 16_384 },
    { first: first + 4 * 16_384, last: last + 4 * 16_384 },
  ])
  expect(await database.db.exec('chunks', 'select from send_chunks')).toBe(0)
})

test('a receipt that waits for a locked row does not block the other receipts', async () => {
  const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [
    list.shortCodeId,
  ])
  const receipt = (n: number, smscId: string, reference: number | null) => ({
    ...receiptOf(n, smscId),
    ...{ shortCode: code, connectionId, reference, submitDate: null, excerpt: null, receivedAt: new Date() },
  })
  const lockedId = ids[1] as number
  await insertWaitingReceipts(database.db, [receipt(0, 'a0', null), receipt(1, 'b1', referenceOf(lockedId, 0))])
  await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
  let settling: Promise<boolean> | undefined
  await database.db.tx(async (tx) => {
    await tx.exec('lock', 'select from message_log where id = $1 for update', [lockedId])
    settling = settleWaitingReceipts(rt())
    await waitFor(async () => (await counters()).delivered === 1)
    // other statements can update the counters meanwhile
    await tx.exec('count', 'select from message_counters where message_id = $1 for update nowait', [messageId])
  })
  expect(await settling).toBe(true)
  expect(await counters()).toMatchObject({ delivered: 2, unknown: 2 })
  await checkCounters(database.db, messageId)
})
