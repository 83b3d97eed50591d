import { beforeEach, describe, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkBooks, readCounters } from '../../test/sending.ts'
import { closeOverdue } from '../broadcasts/close.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { BounceReason } from '../connections/status-map.ts'
import type { Chunk, Recipient } from '../log/chunk.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { listQueued, markSent, markSubmitting, markUnknown } from '../log/marks.queries.ts'
import type { AppliedReceipt } from '../log/receipt.ts'
import { applyReceipts, listLogDays } from '../log/receipts.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { referenceOf } from '../sms/reference.ts'
import { insertWaitingReceipts, type WaitingReceipt } from './waiting.queries.ts'
import { settleWaitingReceipts } from './waiting.ts'

const ctx = useDatabase()
const content = 'The pantry opens at nine. Bring a bag.'
let connectionId: number
let messageId: number
let chunk: Chunk
let rows: Recipient[]
const rt = () => makeRuntime({ db: ctx.db })

async function prepare(text: string) {
  connectionId = (await make.connection(ctx.db, { name: 'default' })).id
  const list = await make.list(ctx.db)
  for (let n = 1; n <= 3; n++) await make.subscriber(ctx.db, { listId: list.id, phone: 2_065_560_000 + n })
  messageId = (await acceptBroadcast(rt(), { accountId: list.accountId, list, content: text })).id
  while (await expandOnce(rt()));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  chunk = (await claimChunks(ctx.db, claim))[0] as Chunk
  rows = await listQueued(ctx.db, chunk)
  await markSubmitting(ctx.db, chunk, rows, new Date())
}

const idOf = (n: number) => (rows[n] as Recipient).id
const textOf = (n: number) => ({ logId: idOf(n), phone: (rows[n] as Recipient).phone })
const accept = (n: number, smscId: string, part = 0, complete = true) =>
  markSent(ctx.db, chunk.loggedOn, connectionId, [{ ...textOf(n), part, smscId, complete }])

const delivered = (smscId: string, phone: number | null = null) => ({
  smscId,
  phone,
  shortCode: chunk.shortCode,
  state: 'delivered' as const,
  reason: null,
  carrierStatus: 'DELIVRD 000',
})
const bounced = (smscId: string, reason: BounceReason, phone: number | null = null) => ({
  smscId,
  phone,
  shortCode: chunk.shortCode,
  state: 'bounced' as const,
  reason,
  carrierStatus: 'UNDELIV 001',
})
const apply = async (...receipts: AppliedReceipt[]) =>
  (await applyReceipts(ctx.db, chunk.loggedOn, connectionId, receipts, new Date())).known

const waiting = (given: Partial<WaitingReceipt>): WaitingReceipt => ({
  ...delivered('ff', rows[0]?.phone),
  connectionId,
  reference: null,
  submitDate: null,
  excerpt: null,
  receivedAt: new Date(),
  ...given,
})

describe('a text of one part', () => {
  beforeEach(() => prepare(content))

  test('is delivered by its receipt, once, and keeps that end', async () => {
    await accept(0, 'a1')
    expect(await apply(delivered('a1'), delivered('nobody'))).toEqual([1])
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, sent: 0, submitting: 2 })
    expect(await apply(delivered('a1'))).toEqual([1])
    expect(await apply(bounced('a1', 'hard'))).toEqual([1])
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, bounced: 0, cleanCount: 0 })
    await checkBooks(ctx.db, messageId)
  })

  test('a dead number that has left meanwhile stays unsubscribed, and is counted as that', async () => {
    await accept(0, 'a1')
    await ctx.db.exec('left', `update subscribers set state = 'unsubscribed' where phone = $1`, [rows[0]?.phone])
    const deltas = 'select count(*) as n from list_deltas'
    const before = await ctx.db.one('deltas', deltas)
    await apply(bounced('a1', 'hard'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ bounced: 1, cleanCount: 0 })
    expect(await ctx.db.one('state', 'select state from subscribers where phone = $1', [rows[0]?.phone])).toEqual({
      state: 'unsubscribed',
    })
    expect(await ctx.db.one('deltas', deltas)).toEqual(before)
  })

  test('a receipt that comes twice in one batch counts once', async () => {
    await accept(0, 'a1')
    expect(await apply(delivered('a1'), delivered('a1'))).toEqual([1, 2])
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1 })
    await checkBooks(ctx.db, messageId)
  })

  test('an unknown text is settled by a receipt with its id', async () => {
    await accept(0, 'a1', 0, false)
    await markUnknown(ctx.db, chunk.loggedOn, [idOf(0)])
    await apply(delivered('a1'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, unknown: 0 })
    await checkBooks(ctx.db, messageId)
  })

  test('a response after its deadline makes an unknown text sent', async () => {
    await markUnknown(ctx.db, chunk.loggedOn, [idOf(0)])
    await accept(0, 'a1')
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 1, unknown: 0 })
    await checkBooks(ctx.db, messageId)
  })

  test('a receipt before its response waits, and applies when the id is known', async () => {
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: 'a1' })])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await ctx.db.one('select_outcome_attempts_from_receipts', 'select outcome, attempts from receipts')).toEqual(
      {
        outcome: 'waiting',
        attempts: 1,
      },
    )
    await accept(0, 'a1')
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await ctx.db.one('select_outcome_from_receipts', 'select outcome from receipts')).toEqual({
      outcome: 'applied',
    })
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, sent: 0 })
  })

  test('a receipt that nothing explains is an orphan after a day', async () => {
    const old = new Date(Date.now() - 25 * 3_600_000)
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: 'a1', receivedAt: old })])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await ctx.db.one('select_outcome_from_receipts', 'select outcome from receipts')).toEqual({
      outcome: 'orphan',
    })
  })

  test('while another text is on its way to the handset, nobody can tell yet whose receipt it is', async () => {
    const { phone } = textOf(0)
    await markUnknown(ctx.db, chunk.loggedOn, [idOf(0)])
    await ctx.db.exec('of_one_handset', 'update message_log set phone = $1 where id = $2', [phone, idOf(1)])
    const of1 = { phone, reference: referenceOf(idOf(1), 0) }
    const submitDate = new Date().toISOString().replaceAll(/\D/g, '').slice(2, 12)
    const ofWords = { phone, excerpt: content.slice(0, 20), submitDate }
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: 'a2', ...of1 }), waiting({ smscId: 'a3', ...ofWords })])
    const settle = async () => {
      await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
      await settleWaitingReceipts(rt())
    }
    await settle()
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ unknown: 1, submitting: 2, delivered: 0 })
    expect(await ctx.db.many('submits', 'select from submits')).toEqual([])
    await markSent(ctx.db, chunk.loggedOn, connectionId, [
      { logId: idOf(1), phone, part: 0, smscId: 'a2', complete: true },
    ])
    await settle()
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ unknown: 0, submitting: 1, delivered: 2 })
    await checkBooks(ctx.db, messageId)
  })

  test('two orphans to one handset do not settle the same unknown text', async () => {
    await markUnknown(ctx.db, chunk.loggedOn, [idOf(0)])
    const reference = referenceOf(idOf(0), 0)
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: 'a1', reference }), waiting({ smscId: 'a2', reference })])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    const outcomes = await ctx.db.many(
      'select_outcome_from_receipts_order_by_outcome',
      'select outcome from receipts order by outcome',
    )
    expect(outcomes).toEqual([{ outcome: 'settled' }, { outcome: 'waiting' }])
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, unknown: 0 })
  })

  test.each([
    ['6699', '1a2b'],
    ['1a2b', '6699'],
  ])('a receipt that spells the id %s as %s finds its row, if the handset is the same', async (given, spelt) => {
    await accept(0, given)
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: spelt, phone: rows[1]?.phone ?? null })])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 1, delivered: 0 })
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: spelt })])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, delivered: 1 })
    await checkBooks(ctx.db, messageId)
  })

  test('what waits past the receipt deadline expires, and unknown stays unknown', async () => {
    await accept(0, 'a1')
    await accept(1, 'a2')
    await apply(delivered('a2'))
    await markUnknown(ctx.db, chunk.loggedOn, [idOf(2)])
    await finishMessages(ctx.db, new Date())
    const later = (hours: number) => ({ ...rt(), clock: { now: () => new Date(Date.now() + hours * 3_600_000) } })
    await closeOverdue(later(71))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 1, expired: 0 })
    await closeOverdue(later(73))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, expired: 1, delivered: 1, unknown: 1 })
    await checkBooks(ctx.db, messageId)
    const closed = await ctx.db.one<{ closed: boolean }>('c', 'select closed_at is not null as closed from messages')
    expect(closed).toEqual({ closed: true })
    // a receipt later than that changes nothing
    await apply(delivered('a1'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ expired: 1, delivered: 1 })
  })
})

test('the days of messages that may still get receipts are known, the newest first', async () => {
  await prepare(content)
  expect(await listLogDays(ctx.db)).toEqual([chunk.loggedOn])
  await ctx.db.exec(
    'other_days',
    `insert into messages (account_id, short_code_id, kind, content, consent, part_count, status, logged_on, accepted_at,
                           closed_at, created_at)
     select account_id, short_code_id, 'system', 'Hi', 'answer', 1, status.word, status.day, now(), status.closed, now()
       from messages,
            (values ('sent', date '2026-01-02', null), ('sent', '2026-01-02', null), ('sending', '2026-01-05', null),
                    ('sent', '2026-01-03', timestamptz '2026-01-06'), ('cancelled', '2026-01-04', null))
              as status (word, day, closed)`,
  )
  expect(await listLogDays(ctx.db)).toEqual([chunk.loggedOn, '2026-01-05', '2026-01-04', '2026-01-02'])
})

describe('over a connection that tells no ids', () => {
  const settle = async (...given: Partial<WaitingReceipt>[]) => {
    await insertWaitingReceipts(
      ctx.db,
      given.map((each) => waiting({ smscId: '', ...each })),
    )
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
  }
  const reference = (n: number, part = 0) => referenceOf(idOf(n), part)

  test('the next text to the same handset finds its receipt as the first did', async () => {
    await prepare(content)
    await ctx.db.exec('same_handset', 'update message_log set phone = $1', [textOf(0).phone])
    await accept(0, '')
    await settle({ reference: reference(0) })
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, sent: 0 })
    await accept(1, '')
    expect(await apply(delivered('', textOf(0).phone))).toEqual([])
    await settle({ reference: reference(1) })
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 2, sent: 0 })
    await checkBooks(ctx.db, messageId)
  })

  test('each part of a text finds its own', async () => {
    await prepare('x'.repeat(400))
    for (const part of [0, 1, 2]) await accept(0, '', part, part === 2)
    for (const part of [1, 0, 2]) await settle({ reference: reference(0, part) })
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ delivered: 1, sent: 0 })
    await checkBooks(ctx.db, messageId)
  })
})

describe('a text of three parts', () => {
  beforeEach(() => prepare('x'.repeat(400)))

  test('is delivered when all its parts are', async () => {
    await accept(0, 'a1', 0, false)
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a1'), delivered('a3'))
    await apply(delivered('a1'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 1, delivered: 0 })
    await apply(delivered('a2'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, delivered: 1 })
    await checkBooks(ctx.db, messageId)
  })

  test('leaves a receipt waiting that comes while other parts are unanswered, and applies it later', async () => {
    await accept(0, 'a1', 0, false)
    expect(await apply(delivered('a1'))).toEqual([])
    expect(await apply(bounced('a1', 'soft'))).toEqual([])
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ submitting: 3, sent: 0, bounced: 0 })
    await insertWaitingReceipts(ctx.db, [waiting({ smscId: 'a1' })])
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a2'), delivered('a3'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ submitting: 2, sent: 1, delivered: 0 })
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ submitting: 2, sent: 0, delivered: 1 })
    await checkBooks(ctx.db, messageId)
  })

  test('shows the status of the part that failed, whatever came with it', async () => {
    await accept(0, 'a1', 0, false)
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a1'), bounced('a2', 'soft'), delivered('a3'))
    expect(await ctx.db.one('s', 'select carrier_status from message_log where id = $1', [idOf(0)])).toEqual({
      carrier_status: 'UNDELIV 001',
    })
  })

  test('bounces as soon as one part does', async () => {
    await accept(0, 'a1', 0, false)
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a1'), bounced('a2', 'soft'))
    await apply(delivered('a3'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, bounced: 1, delivered: 0 })
    await checkBooks(ctx.db, messageId)
  })
})

describe('a text of three parts in one PDU', () => {
  beforeEach(() => prepare('x'.repeat(400)))

  test('is delivered by its one receipt', async () => {
    await accept(0, 'a1', -1)
    await accept(1, 'a2', -1)
    expect(await apply(delivered('a1'), delivered('a2'))).toEqual([1, 2])
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, delivered: 2 })
    await checkBooks(ctx.db, messageId)
  })

  test('and beside texts of other kinds as well', async () => {
    await accept(0, 'a1', -1)
    await accept(1, 'b1', 0, false)
    await accept(1, 'b2', 1, false)
    await accept(1, 'b3', 2)
    await accept(2, 'c1', -1)
    await apply(delivered('b1'), delivered('b2'), delivered('a1'), bounced('c1', 'soft'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 1, delivered: 1, bounced: 1 })
    await checkBooks(ctx.db, messageId)
  })

  test('is found without an id by its reference or words, and then complete', async () => {
    await ctx.db.exec('payload', `update connections set long_text = 'payload'`)
    await markUnknown(ctx.db, chunk.loggedOn, [idOf(0), idOf(1)])
    const submitDate = new Date().toISOString().replace(/\D/g, '').slice(2, 12)
    const ofSecond = { phone: textOf(1).phone, excerpt: 'x'.repeat(20), submitDate }
    await insertWaitingReceipts(ctx.db, [
      waiting({ smscId: 'a1', reference: referenceOf(idOf(0), 0) }),
      waiting({ smscId: 'a2', ...ofSecond }),
    ])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ unknown: 0, delivered: 2 })
    await checkBooks(ctx.db, messageId)
  })
})

test('what a text bounced for is the weightiest of its parts', async () => {
  await prepare('x'.repeat(400))
  await accept(0, 'a1', 0, false)
  await accept(0, 'a2', 1, false)
  await accept(0, 'a3', 2)
  await apply(bounced('a1', 'soft'), bounced('a2', 'hard'), bounced('a3', 'blocked'))
  expect(await ctx.db.one('r', 'select reason from message_log where id = $1', [idOf(0)])).toEqual({ reason: 'hard' })
})

describe('over two connections', () => {
  beforeEach(() => prepare(content))
  const other = async () => (await make.connection(ctx.db)).id

  test('one id is two texts', async () => {
    const otherId = await other()
    await accept(0, 'a1')
    await markSent(ctx.db, chunk.loggedOn, otherId, [{ ...textOf(1), part: 0, smscId: 'a1', complete: true }])
    await applyReceipts(ctx.db, chunk.loggedOn, otherId, [bounced('a1', 'soft')], new Date())
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 1, bounced: 1 })
    await apply(delivered('a1'))
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, bounced: 1, delivered: 1 })
  })

  test('a receipt that comes over the other one, as to a receiver, finds its text by id and handset', async () => {
    const otherId = await other()
    await accept(0, 'a1')
    await insertWaitingReceipts(ctx.db, [
      waiting({ smscId: 'a1', connectionId: otherId }),
      waiting({ smscId: 'a1', connectionId: otherId, phone: textOf(1).phone }),
    ])
    await ctx.db.exec('due', `update receipts set retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(rt())
    expect(await readCounters(ctx.db, messageId)).toMatchObject({ sent: 0, delivered: 1 })
    expect(await ctx.db.many('o', 'select outcome from receipts order by id')).toEqual([
      { outcome: 'settled' },
      { outcome: 'waiting' },
    ])
  })
})

test('a receipt that has waited long is tried once an hour', async () => {
  await prepare(content)
  await insertWaitingReceipts(ctx.db, [waiting({ smscId: 'a1' })])
  await ctx.db.exec('long', `update receipts set attempts = 30, retry_at = now() - interval '1 second'`)
  await settleWaitingReceipts(rt())
  const next = `select extract(epoch from retry_at - clock_timestamp())::int between 3590 and 3600 as is from receipts`
  expect(await ctx.db.one('next', next)).toEqual({ is: true })
})
