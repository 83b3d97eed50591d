import { beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { content, useReceipts } from '../../test/receipts.ts'
import { closeOverdue } from '../broadcasts/close.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { markSent } from '../log/marks.queries.ts'
import { applyReceipts, listLogDays } from '../log/receipts.queries.ts'

// Receipts whose SMSC ids are known. Those with unknown ids are in unknown-ids.test.ts.

const ctx = useReceipts()
const { accept, apply, bounced, checkCounters, counters, delivered, loseResponse, prepare, textOf } = ctx

describe('a text of one part', () => {
  beforeEach(() => prepare())

  test('is delivered by its first receipt, and later receipts change nothing', async () => {
    await accept(0, 'a1')
    expect(await apply(delivered('a1'), delivered('unknown'))).toEqual([1])
    expect(await counters()).toMatchObject({ delivered: 1, sent: 0, submitting: 2 })
    expect(await apply(delivered('a1'))).toEqual([1])
    expect(await apply(bounced('a1', 'hard'))).toEqual([1])
    expect(await counters()).toMatchObject({ delivered: 1, bounced: 0, cleanCount: 0 })
    await checkCounters()
  })

  test('that bounces hard does not clean a subscriber who has unsubscribed meanwhile', async () => {
    await accept(0, 'a1')
    const { phone } = textOf(0)
    await ctx.db.exec('unsubscribe', `update subscribers set state = 'unsubscribed' where phone = $1`, [phone])
    const deltas = 'select count(*) as n from list_deltas'
    const before = await ctx.db.one('deltas', deltas)
    await apply(bounced('a1', 'hard'))
    expect(await counters()).toMatchObject({ bounced: 1, cleanCount: 0 })
    expect(await ctx.db.one('state', 'select state from subscribers where phone = $1', [phone])).toEqual({
      state: 'unsubscribed',
    })
    expect(await ctx.db.one('deltas', deltas)).toEqual(before)
  })

  test('is counted once if its receipt is twice in one batch', async () => {
    await accept(0, 'a1')
    expect(await apply(delivered('a1'), delivered('a1'))).toEqual([1, 2])
    expect(await counters()).toMatchObject({ delivered: 1 })
    await checkCounters()
  })

  test('that is unknown is settled by a receipt with its id', async () => {
    await accept(0, 'a1', 0, false)
    await loseResponse(0)
    await apply(delivered('a1'))
    expect(await counters()).toMatchObject({ delivered: 1, unknown: 0 })
    await checkCounters()
  })

  test('that is unknown becomes sent by a late response', async () => {
    await loseResponse(0)
    await accept(0, 'a1')
    expect(await counters()).toMatchObject({ sent: 1, unknown: 0 })
    await checkCounters()
  })

  test('expires at the receipt deadline if it is sent, and stays unknown if it is unknown', async () => {
    await accept(0, 'a1')
    await accept(1, 'a2')
    await apply(delivered('a2'))
    await loseResponse(2)
    await finishMessages(ctx.db, new Date())
    const later = (hours: number) => ({ ...ctx.rt(), clock: { now: () => new Date(Date.now() + hours * 3_600_000) } })
    await closeOverdue(later(71))
    expect(await counters()).toMatchObject({ sent: 1, expired: 0 })
    await closeOverdue(later(73))
    expect(await counters()).toMatchObject({ sent: 0, expired: 1, delivered: 1, unknown: 1 })
    await checkCounters()
    const closed = await ctx.db.one<{ closed: boolean }>('c', 'select closed_at is not null as closed from messages')
    expect(closed).toEqual({ closed: true })
    // a receipt after the deadline changes nothing
    await apply(delivered('a1'))
    expect(await counters()).toMatchObject({ expired: 1, delivered: 1 })
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
    expect(await counters()).toMatchObject({ sent: 1, delivered: 0 })
    await apply(delivered('a2'))
    expect(await counters()).toMatchObject({ sent: 0, delivered: 1 })
    await checkCounters()
  })

  test('is not settled by a receipt that arrives while other parts await their responses, but afterwards', async () => {
    await accept(0, 'a1', 0, false)
    expect(await apply(delivered('a1'))).toEqual([])
    expect(await apply(bounced('a1', 'soft'))).toEqual([])
    expect(await counters()).toMatchObject({ submitting: 3, sent: 0, bounced: 0 })
    await ctx.store({ smscId: 'a1' })
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a2'), delivered('a3'))
    expect(await counters()).toMatchObject({ submitting: 2, sent: 1, delivered: 0 })
    await ctx.settle()
    expect(await counters()).toMatchObject({ submitting: 2, sent: 0, delivered: 1 })
    await checkCounters()
  })

  test('has the carrier status of the part that failed, whatever other receipts are in the batch', async () => {
    await accept(0, 'a1', 0, false)
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a1'), bounced('a2', 'soft'), delivered('a3'))
    const sql = 'select carrier_status from message_log where id = $1'
    expect(await ctx.db.one('status', sql, [textOf(0).logId])).toEqual({ carrier_status: 'UNDELIV 001' })
  })

  test('bounces as soon as one part bounces', async () => {
    await accept(0, 'a1', 0, false)
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2, true)
    await apply(delivered('a1'), bounced('a2', 'soft'))
    await apply(delivered('a3'))
    expect(await counters()).toMatchObject({ sent: 0, bounced: 1, delivered: 0 })
    await checkCounters()
  })

  test('bounces for the most serious reason of its parts', async () => {
    await accept(0, 'a1', 0, false)
    await accept(0, 'a2', 1, false)
    await accept(0, 'a3', 2)
    await apply(bounced('a1', 'soft'), bounced('a2', 'hard'), bounced('a3', 'blocked'))
    const sql = 'select reason from message_log where id = $1'
    expect(await ctx.db.one('reason', sql, [textOf(0).logId])).toEqual({ reason: 'hard' })
  })
})

describe('a text of three parts in one PDU', () => {
  beforeEach(() => prepare('x'.repeat(400)))

  test('is delivered by one receipt', async () => {
    await accept(0, 'a1', -1)
    await accept(1, 'a2', -1)
    expect(await apply(delivered('a1'), delivered('a2'))).toEqual([1, 2])
    expect(await counters()).toMatchObject({ sent: 0, delivered: 2 })
    await checkCounters()
  })

  test('is delivered by one receipt in a batch with receipts for parts of other texts', async () => {
    await accept(0, 'a1', -1)
    await accept(1, 'b1', 0, false)
    await accept(1, 'b2', 1, false)
    await accept(1, 'b3', 2)
    await accept(2, 'c1', -1)
    await apply(delivered('b1'), delivered('b2'), delivered('a1'), bounced('c1', 'soft'))
    expect(await counters()).toMatchObject({ sent: 1, delivered: 1, bounced: 1 })
    await checkCounters()
  })
})

test('two texts may have the same id on different connections', async () => {
  await prepare()
  const { id: otherId } = await make.connection(ctx.db)
  await accept(0, 'a1')
  await markSent(ctx.db, ctx.chunk.loggedOn, otherId, [{ ...textOf(1), part: 0, smscId: 'a1', complete: true }])
  await applyReceipts(ctx.db, ctx.chunk.loggedOn, otherId, [bounced('a1', 'soft')], new Date())
  expect(await counters()).toMatchObject({ sent: 1, bounced: 1 })
  await apply(delivered('a1'))
  expect(await counters()).toMatchObject({ sent: 0, bounced: 1, delivered: 1 })
})

test('listLogDays returns the days of messages that may still get receipts, newest first', async () => {
  await prepare(content)
  expect(await listLogDays(ctx.db)).toEqual([ctx.chunk.loggedOn])
  await ctx.db.exec(
    'other_days',
    `insert into messages (account_id, short_code_id, kind, content, consent, part_count, status, logged_on, accepted_at,
                           closed_at, created_at)
     select account_id, short_code_id, 'system', 'Hi', 'reply', 1, given.status, given.day, now(), given.closed_at, now()
       from messages,
            (values ('sent', date '2026-01-02', null), ('sent', '2026-01-02', null), ('sending', '2026-01-05', null),
                    ('sent', '2026-01-03', timestamptz '2026-01-06'), ('cancelled', '2026-01-04', null))
              as given (status, day, closed_at)`,
  )
  expect(await listLogDays(ctx.db)).toEqual([ctx.chunk.loggedOn, '2026-01-05', '2026-01-04', '2026-01-02'])
})
