import { beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { content, submitDate, useReceipts } from '../../test/receipts.ts'
import { markSent } from '../log/marks.queries.ts'
import { referenceOf } from '../sms/reference.ts'
import type { WaitingReceipt } from './waiting.queries.ts'
import { settleWaitingReceipts } from './waiting.ts'

// Receipts whose SMSC ids are not known when they arrive: they wait, and are matched by id later, or by phone.

const ctx = useReceipts()
const { accept, apply, checkCounters, counters, delivered, loseResponse, outcomes, prepare, settle, store, textOf } =
  ctx

const reference = (n: number, part = 0) => referenceOf(textOf(n).logId, part)

describe('a waiting receipt', () => {
  beforeEach(() => prepare())

  test('is applied when its id is known', async () => {
    await store({ smscId: 'a1' })
    await settle()
    expect(await ctx.db.one('receipt', 'select outcome, attempts from receipts')).toEqual({
      outcome: 'waiting',
      attempts: 1,
    })
    await accept(0, 'a1')
    await settle()
    expect(await outcomes()).toEqual(['applied'])
    expect(await counters()).toMatchObject({ delivered: 1, sent: 0 })
  })

  test('that matches no text is an orphan after a day', async () => {
    await store({ smscId: 'a1', receivedAt: new Date(Date.now() - 25 * 3_600_000) })
    await settle()
    expect(await outcomes()).toEqual(['orphan'])
  })

  test('is retried once per hour after many attempts', async () => {
    await store({ smscId: 'a1' })
    await ctx.db.exec('many', `update receipts set attempts = 30, retry_at = now() - interval '1 second'`)
    await settleWaitingReceipts(ctx.rt())
    const sql = `select extract(epoch from retry_at - clock_timestamp())::int between 3590 and 3600 as "isHour" from receipts`
    expect(await ctx.db.one('next', sql)).toEqual({ isHour: true })
  })

  test('waits while another text to the same phone awaits its response', async () => {
    const { phone } = textOf(0)
    const { logId } = textOf(1)
    await loseResponse(0)
    await ctx.db.exec('same_phone', 'update message_log set phone = $1 where id = $2', [phone, logId])
    await store(
      { smscId: 'a2', phone, reference: reference(1) },
      { smscId: 'a3', phone, excerpt: content.slice(0, 20), submitDate },
    )
    await settle()
    expect(await counters()).toMatchObject({ unknown: 1, submitting: 2, delivered: 0 })
    expect(await ctx.db.many('submits', 'select from submits')).toEqual([])
    await markSent(ctx.db, ctx.chunk.loggedOn, ctx.connectionId, [
      { logId, phone, part: 0, smscId: 'a2', complete: true },
    ])
    await settle()
    expect(await counters()).toMatchObject({ unknown: 0, submitting: 1, delivered: 2 })
    await checkCounters()
  })

  test('does not settle an unknown text that another receipt has settled', async () => {
    await loseResponse(0)
    await store({ smscId: 'a1', reference: reference(0) }, { smscId: 'a2', reference: reference(0) })
    await settle()
    expect((await outcomes()).sort()).toEqual(['settled', 'waiting'])
    expect(await counters()).toMatchObject({ delivered: 1, unknown: 0 })
  })

  test.each([
    ['6699', '1a2b'],
    ['1a2b', '6699'],
  ])('matches a text with id %s by the other spelling %s if the phone is the same', async (inResponse, inReceipt) => {
    await accept(0, inResponse)
    await store({ smscId: inReceipt, phone: textOf(1).phone })
    await settle()
    expect(await counters()).toMatchObject({ sent: 1, delivered: 0 })
    await store({ smscId: inReceipt })
    await settle()
    expect(await counters()).toMatchObject({ sent: 0, delivered: 1 })
    await checkCounters()
  })

  test('from another connection matches a text by id and phone', async () => {
    const { id: otherId } = await make.connection(ctx.db)
    await accept(0, 'a1')
    await store(
      { smscId: 'a1', connectionId: otherId },
      { smscId: 'a1', connectionId: otherId, phone: textOf(1).phone },
    )
    await settle()
    expect(await counters()).toMatchObject({ sent: 0, delivered: 1 })
    expect(await outcomes()).toEqual(['settled', 'waiting'])
  })
})

describe('a connection whose responses have no ids', () => {
  const storeAndSettle = async (fields: Partial<WaitingReceipt>) => {
    await store({ smscId: '', ...fields })
    await settle()
  }

  test('gets receipts matched for each text to the same phone', async () => {
    await prepare()
    const { phone } = textOf(0)
    await ctx.db.exec('same_phone_for_all', 'update message_log set phone = $1', [phone])
    await accept(0, '')
    await storeAndSettle({ reference: reference(0) })
    expect(await counters()).toMatchObject({ delivered: 1, sent: 0 })
    await accept(1, '')
    expect(await apply(delivered('', phone))).toEqual([])
    await storeAndSettle({ reference: reference(1) })
    expect(await counters()).toMatchObject({ delivered: 2, sent: 0 })
    await checkCounters()
  })

  test('gets receipts matched for each part of a text', async () => {
    await prepare('x'.repeat(400))
    for (const part of [0, 1, 2]) await accept(0, '', part, part === 2)
    for (const part of [1, 0, 2]) await storeAndSettle({ reference: reference(0, part) })
    expect(await counters()).toMatchObject({ delivered: 1, sent: 0 })
    await checkCounters()
  })
})

test('a text of three parts in one PDU is delivered by a receipt that is matched by reference or excerpt', async () => {
  await prepare('x'.repeat(400))
  await ctx.db.exec('payload', `update connections set long_text = 'payload'`)
  await loseResponse(0)
  await loseResponse(1)
  await store(
    { smscId: 'a1', reference: reference(0) },
    { smscId: 'a2', phone: textOf(1).phone, excerpt: 'x'.repeat(20), submitDate },
  )
  await settle()
  expect(await counters()).toMatchObject({ unknown: 0, delivered: 2 })
  await checkCounters()
})
