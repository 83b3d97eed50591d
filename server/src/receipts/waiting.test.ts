import { beforeEach, describe, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkBooks, readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import type { Chunk } from '../log/chunk.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { listQueued, markSent, markSubmitting, markUnknown } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { insertWaitingReceipts, type StoredReceipt, type WaitingReceipt } from './waiting.queries.ts'
import { findUnknown, settleWaitingReceipts } from './waiting.ts'

const ctx = useDatabase()
const content = 'The pantry opens at nine. Bring a bag.'
const submitDate = new Date().toISOString().replaceAll(/\D/g, '').slice(2, 12)
const dayAgo = new Date(Date.now() - 25 * 3_600_000)
let connectionId: number
let listId: number
let messageId: number
let chunk: Chunk
let rows: { logId: number; phone: number }[]

/** Texts to so many handsets, all of them on their way. */
async function prepare(text = content, handsets = 4) {
  const rt = makeRuntime({ db: ctx.db })
  connectionId = (await make.connection(ctx.db, { name: 'default' })).id
  const list = await make.list(ctx.db)
  listId = list.id
  for (let n = 1; n <= handsets; n++) await make.subscriber(ctx.db, { listId, phone: 2_065_560_000 + n })
  messageId = (await acceptBroadcast(rt, { accountId: list.accountId, list, content: text })).id
  while (await expandOnce(rt));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  chunk = (await claimChunks(ctx.db, claim))[0] as Chunk
  const queued = await listQueued(ctx.db, chunk)
  await markSubmitting(ctx.db, chunk, queued, new Date())
  rows = queued.map(({ id, phone }) => ({ logId: id, phone }))
}

const textOf = (n: number) => rows[n] as (typeof rows)[number]
const accept = (n: number, smscId: string, part = 0, complete = true) =>
  markSent(ctx.db, chunk.loggedOn, connectionId, [{ ...textOf(n), part, smscId, complete }])
const lost = (n: number) => markUnknown(ctx.db, chunk.loggedOn, [textOf(n).logId])

/** Keeps receipts, the first for the first handset, unless they say otherwise. */
const keep = (...given: Partial<WaitingReceipt>[]) =>
  insertWaitingReceipts(
    ctx.db,
    given.map((each, n) => ({
      smscId: `a${n}`,
      phone: textOf(n).phone,
      shortCode: chunk.shortCode,
      state: 'delivered' as const,
      reason: null,
      carrierStatus: 'DELIVRD 000',
      connectionId,
      reference: null,
      submitDate,
      excerpt: content.slice(0, 20),
      receivedAt: new Date(),
      ...each,
    })),
  )

async function settle(db: Db = ctx.db) {
  await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
  return settleWaitingReceipts(makeRuntime({ db }))
}

const outcomes = async () =>
  (await ctx.db.many<{ outcome: string }>('outcomes', 'select outcome from receipts order by id')).map(
    ({ outcome }) => outcome,
  )
const counters = () => readCounters(ctx.db, messageId)

describe('a receipt whose id comes while its row is looked for settles no older text to that handset', () => {
  test.each([
    ['by its own id', 'b1', 'applied'],
    ['by the id in the other base', '177', 'settled'],
  ])('%s', async (_, smscId, outcome) => {
    await prepare()
    await ctx.db.exec('one_handset', 'update message_log set phone = $1', [textOf(0).phone])
    // the others to that handset are no candidates
    for (const n of [2, 3]) await accept(n, `c${n}`)
    await lost(0)
    await keep({ smscId: 'b1' })
    const answered: Db = {
      ...ctx.db,
      async many(name, ...call) {
        if (name === 'list_unknown_rows') {
          const { phone } = textOf(0)
          const part = { logId: textOf(1).logId, phone, part: 0, smscId, complete: true }
          await markSent(ctx.db, chunk.loggedOn, connectionId, [part])
        }
        return ctx.db.many(name, ...call)
      },
    }
    await settle(answered)
    const states = await ctx.db.many('states', 'select state from message_log order by id limit 2')
    expect(states).toEqual([{ state: 'unknown' }, { state: 'delivered' }])
    expect(await outcomes()).toEqual([outcome])
    await checkBooks(ctx.db, messageId)
  })
})

describe('a receipt that may be for a text on its way is no orphan, however long that takes', () => {
  test('where its text has not been answered', async () => {
    await prepare()
    await keep({ receivedAt: dayAgo }, { receivedAt: dayAgo, excerpt: 'Another text', phone: textOf(3).phone })
    await settle()
    expect(await outcomes()).toEqual(['waiting', 'orphan'])
    await lost(0)
    await settle()
    expect(await outcomes()).toEqual(['settled', 'orphan'])
    expect(await counters()).toMatchObject({ submitting: 3, delivered: 1 })
  })

  test('where other parts of it have not', async () => {
    await prepare('x'.repeat(200))
    await accept(0, 'a0', 0, false)
    await keep({ receivedAt: dayAgo })
    await settle()
    expect(await outcomes()).toEqual(['waiting'])
    await lost(0)
    await settle()
    expect(await outcomes()).toEqual(['applied'])
    await checkBooks(ctx.db, messageId)
  })
})

describe('receipts that cannot be applied', () => {
  beforeEach(() => prepare())

  /** One more soft bounce of this handset is more than can be counted. */
  const poison = (n: number) =>
    ctx.db.exec(
      'poison',
      'insert into soft_bounces (list_id, phone, consecutive_count, message_id, log_id) values ($1, $2, 2147483647, $3, $4)',
      [listId, textOf(n).phone, messageId, textOf(n).logId],
    )
  const soft = { state: 'bounced' as const, reason: 'soft' as const, carrierStatus: 'UNDELIV 001' }

  test('hold up no others, be they opt-outs or not', async () => {
    for (const n of [0, 1, 2, 3]) await accept(n, `a${n}`)
    await poison(1)
    await keep({}, soft, soft, { ...soft, reason: 'opted_out' })
    const { before } = await ctx.db.one<{ before: string }>('before', 'select clock_timestamp()::text as before')
    await expect(settle()).rejects.toThrow('out of range')
    expect(await outcomes()).toEqual(['applied', 'waiting', 'applied', 'applied'])
    expect(await counters()).toMatchObject({ sent: 1, delivered: 1, bounced: 2 })
    const gone = await ctx.db.many('gone', `select phone from subscribers where state = 'unsubscribed'`)
    expect(gone).toEqual([{ phone: textOf(3).phone }])
    await checkBooks(ctx.db, messageId)
    // its next try comes later than that of new receipts
    const delayed = `select from receipts where outcome = 'waiting' and retry_at >= $1::timestamptz + interval '200 milliseconds'`
    expect(await ctx.db.exec('delayed', delayed, [before])).toBe(1)
    await ctx.db.exec('heal', 'delete from soft_bounces')
    await settle()
    expect(await counters()).toMatchObject({ sent: 0, bounced: 3 })
  })

  test('are left alone when it is the database that is away', async () => {
    for (const n of [0, 1]) await accept(n, `a${n}`)
    await keep({}, {})
    let transactions = 0
    const away: Db = {
      ...ctx.db,
      tx: () => {
        transactions++
        return Promise.reject(new Error('Connection terminated unexpectedly'))
      },
    }
    await expect(settle(away)).rejects.toThrow('terminated')
    expect(transactions).toBe(1)
    await settle()
    expect(await counters()).toMatchObject({ delivered: 2 })
  })
})

describe('whose receipt it is, by handset and words', () => {
  const candidate = (given = {}) => ({
    logId: 1,
    loggedOn: '2026-03-01',
    part: 0,
    content,
    submittedAt: new Date('2026-03-01T10:00:00Z'),
    partCount: 1,
    byReference: false,
    onItsWay: false,
    ...given,
  })
  const receipt = (given: Partial<StoredReceipt>) =>
    ({ reference: null, excerpt: content.slice(0, 20), submitDate: '2603011000', ...given }) as StoredReceipt

  test.each([
    ['the one that fits', receipt({}), [candidate()], true],
    ['nothing, when two fit', receipt({}), [candidate(), candidate({ logId: 2 })], false],
    ['nothing, when the words differ', receipt({ excerpt: 'Another text' }), [candidate()], false],
    ['nothing, without words', receipt({ excerpt: '' }), [candidate()], false],
    ['nothing, when submitted a day before ours', receipt({ submitDate: '2602281000' }), [candidate()], false],
    ['nothing, without a date', receipt({ submitDate: null }), [candidate()], false],
    ['in another zone', receipt({ submitDate: '260301020030' }), [candidate()], true],
    ['by the reference alone', receipt({ reference: 16, excerpt: null }), [candidate({ byReference: true })], true],
    ['nothing, when the reference is another', receipt({ reference: 16 }), [candidate()], false],
  ])('%s', (_, given, candidates, found) => {
    expect(findUnknown(given, candidates) !== undefined).toBe(found)
  })

  test('of two that fit, the one that is on its way: its answer has to be waited for', () => {
    const candidates = [candidate(), candidate({ logId: 2, onItsWay: true })]
    expect(findUnknown(receipt({}), candidates)?.logId).toBe(2)
  })

  test.each([
    ['the one with its words, of two with its reference', content, 1],
    ['else the last one', 'Something else', 2],
  ])('%s', (_, excerpt, found) => {
    const candidates = [candidate({ byReference: true }), candidate({ byReference: true, logId: 2, content: 'Hello' })]
    expect(findUnknown(receipt({ reference: 16, excerpt }), candidates)?.logId).toBe(found)
  })
})
