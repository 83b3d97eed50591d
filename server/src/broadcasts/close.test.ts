import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { noticesDuring } from '../../test/notices.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkBooks, readCounters } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import type { Chunk } from '../log/chunk.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { finishChunk } from '../log/leases.queries.ts'
import { listQueued, markSent, markSubmitting, markUnknown } from '../log/marks.queries.ts'
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

/** The first of four texts is sent; of the others nobody knows. The message is sent. */
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

describe('texts of which nobody can tell whether they were sent', () => {
  test('are left alone where nobody is to be texted twice', async () => {
    await close(73)
    expect(await counters()).toMatchObject({ expired: 1, unknown: 3, queued: 0 })
    expect(await message()).toEqual({ status: 'sent', closed: true })
  })

  test('queued once more, find a receipt by its words, and hold up no other', async () => {
    await neverMiss()
    await close(73)
    const submitDate = new Date().toISOString().replace(/\D/g, '').slice(2, 12)
    const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [
      list.shortCodeId,
    ])
    const told = { ...receiptOf(1, 'b1'), shortCode: code, connectionId, reference: null, submitDate }
    await insertWaitingReceipts(database.db, [{ ...told, excerpt: 'The pantry opens at ', receivedAt: later(73) }])
    await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt(later(73)))
    expect(await counters()).toMatchObject({ queued: 2, delivered: 1 })
    await checkBooks(database.db, messageId)
  })

  test('are queued once more, and only once, where nobody is to be missed', async () => {
    await neverMiss()
    await close(71)
    expect(await counters()).toMatchObject({ sent: 1, unknown: 3, queued: 0 })
    expect(await noticesDuring(database.url, () => close(73))).toEqual(['chunks'])
    expect(await counters()).toMatchObject({ expired: 1, unknown: 0, queued: 3 })
    expect(await message()).toEqual({ status: 'sending', closed: false })
    await checkBooks(database.db, messageId)
    // nothing of it is overdue while it is being sent
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
    await checkBooks(database.db, messageId)
  })

  test('are not sent to who has left meanwhile, be it before or after that', async () => {
    await neverMiss()
    const leave = (n: number) =>
      optOut(rt(), { accountId: list.accountId, listId: list.id, phone: phoneOf(n), method: 'api', actor: 'key:1' })
    await leave(1)
    await close(73)
    await leave(2)
    const { marked } = await markAll(later(73))
    expect(marked).toEqual([ids[3]])
    expect(await counters()).toMatchObject({ submitting: 1, suppressed: 2, unknown: 0, queued: 0 })
    await checkBooks(database.db, messageId)
  })

  test('are not sent when they turn out to have arrived, while they wait for their turn', async () => {
    await neverMiss()
    await close(73)
    const kept = { connectionId, submitDate: null, excerpt: null, receivedAt: new Date() }
    const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes')
    const reference = referenceOf(ids[2] as number, 0)
    await insertWaitingReceipts(database.db, [{ ...receiptOf(2, 'c2'), ...kept, reference, shortCode: code }])
    await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await counters()).toMatchObject({ queued: 2, delivered: 1 })
    const { marked } = await markAll(later(73))
    expect(marked).toEqual([ids[1], ids[3]])
    await checkBooks(database.db, messageId)
  })

  test('are not sent to who turns out to have opted out at the carrier, nor to a dead number', async () => {
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
    // what failed for now is what the second try is for
    expect(await counters()).toMatchObject({ queued: 1, bounced: 2, cleanCount: 1 })
    await checkBooks(database.db, messageId)
    const left = await database.db.many(
      'left',
      `select phone, state from subscribers where list_id = $1 and state <> 'subscribed' order by phone`,
      [list.id],
    )
    expect(left).toEqual([
      { phone: phoneOf(1), state: 'unsubscribed' },
      { phone: phoneOf(2), state: 'cleaned' },
    ])
    const { chunk, marked } = await markAll(later(73))
    expect(marked).toEqual([ids[3]])
    await markUnknown(database.db, day, marked)
    await end(chunk, later(73))
  })

  test('that are stopped by receipts one and all leave nothing open', async () => {
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
    await checkBooks(database.db, messageId)
  })

  test.each<[string, string]>([
    ['its list is deleted', 'update lists set deleted_at = now()'],
    ['its deadline is past', `update messages set deliver_by = now() + interval '1 hour'`],
    ['it is a text of the house', `update messages set kind = 'system'`],
    ['it was cancelled', `update messages set status = 'cancelled', cancelled_at = now()`],
  ])('are left alone when %s', async (_, change) => {
    await neverMiss()
    await database.db.exec('change', change)
    await close(73)
    expect(await counters()).toMatchObject({ expired: 1, unknown: 3, queued: 0 })
    expect(await message()).toMatchObject({ closed: true })
  })

  test('are left alone when it is cancelled in the very moment', async () => {
    await neverMiss()
    const { db } = database
    const late: Db = {
      ...db,
      tx: async (work) => {
        await db.exec('cancel', `update messages set status = 'cancelled', cancelled_at = now()`)
        return db.tx(work)
      },
    }
    await close(73, late)
    expect(await counters()).toMatchObject({ unknown: 3, queued: 0 })
    expect((await message()).status).toBe('cancelled')
  })

  test('wait for the next window where there are windows', async () => {
    await neverMiss()
    await database.db.exec('location', `update send_chunks set location = 'WA', closes_at = now()`)
    await close(73)
    expect(await counters()).toMatchObject({ queued: 3 })
    // closed, so that the next one is looked for
    const window = 'select done_at is null and closes_at <= due_at as closed from send_chunks'
    expect(await database.db.one('window', window)).toEqual({ closed: true })
  })

  test('survive the death of the worker between any two statements, and two workers at once', async () => {
    await neverMiss()
    for (let lives = 0; ; lives++) {
      let left = lives
      const perhaps = async (work: () => Promise<unknown>) => {
        if (left-- === 0) throw new Error('killed')
        return work()
      }
      const mortal = (db: Db): Db =>
        ({
          ...db,
          one: (...call: Parameters<Db['one']>) => perhaps(() => db.one(...call)),
          exec: (...call: Parameters<Db['exec']>) => perhaps(() => db.exec(...call)),
          tx: (work: (tx: Db) => Promise<unknown>) => db.tx((tx) => work(mortal(tx))),
        }) as Db
      const fault = await close(73, mortal(database.db)).catch((error: Error) => error.message)
      await checkBooks(database.db, messageId)
      const { unknown, queued } = await counters()
      expect(unknown + queued).toBe(3)
      // queued texts of a message that counts as sent would be no opt-out's business
      if (queued > 0) expect(await message()).toEqual({ status: 'sending', closed: false })
      if (fault !== 'killed') break
      expect((await message()).closed).toBe(false)
    }
    expect(await counters()).toMatchObject({ queued: 3, expired: 1 })
  })

  test('are queued once by two workers at once', async () => {
    await neverMiss()
    await Promise.all([close(73), close(73)])
    expect(await counters()).toMatchObject({ queued: 3, unknown: 0, expired: 1 })
    await checkBooks(database.db, messageId)
  })
})

describe('how long receipts are waited for', () => {
  const patience = (name: string, seconds: number | null) =>
    database.db.exec('patience', `update connections set receipt_deadline_s = $2, serves_all = true where name = $1`, [
      name,
      seconds,
    ])

  test('each connection may say', async () => {
    await patience('default', 7_200)
    await close(1.9)
    expect(await counters()).toMatchObject({ sent: 1 })
    await close(2.1)
    expect(await counters()).toMatchObject({ expired: 1 })
    expect(await message()).toMatchObject({ closed: true })
  })

  test('and of several the most patient counts that the short code may send over', async () => {
    await patience('default', 7_200)
    const otherId = (await make.connection(database.db, { name: 'other' })).id
    await patience('other', 14_400)
    await close(3.9)
    expect(await counters()).toMatchObject({ sent: 1 })
    await database.db.exec(
      'route',
      'insert into short_code_routes (short_code_id, connection_id) select id, $1 from short_codes',
      [connectionId],
    )
    expect(otherId).not.toBe(connectionId)
    await close(3.9)
    expect(await counters()).toMatchObject({ expired: 1 })
  })
})

test('a receipt that has to wait for its row holds nothing of the others', async () => {
  const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [
    list.shortCodeId,
  ])
  const told = (n: number, smscId: string, reference: number | null) => ({
    ...receiptOf(n, smscId),
    ...{ shortCode: code, connectionId, reference, submitDate: null, excerpt: null, receivedAt: new Date() },
  })
  const held = ids[1] as number
  await insertWaitingReceipts(database.db, [told(0, 'a0', null), told(1, 'b1', referenceOf(held, 0))])
  await database.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
  let settling: Promise<boolean> | undefined
  await database.db.tx(async (tx) => {
    await tx.exec('hold', 'select from message_log where id = $1 for update', [held])
    settling = settleWaitingReceipts(rt())
    await waitFor(async () => (await counters()).delivered === 1)
    // whoever counts something of the broadcast need not wait
    await tx.exec('count', 'select from message_counters where message_id = $1 for update nowait', [messageId])
  })
  expect(await settling).toBe(true)
  expect(await counters()).toMatchObject({ delivered: 2, unknown: 2 })
  await checkBooks(database.db, messageId)
})
