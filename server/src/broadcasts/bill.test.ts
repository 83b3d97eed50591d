import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { type NewRate, upsertRate } from '../rates/rates.queries.ts'
import { bill, billSent, mergeRanges } from './bill.ts'
import { closeOverdue } from './close.ts'
import { expandOnce } from './expand.ts'

const att = 383
const verizon = 77

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
})
afterEach(() => database.close())

const rate = (price: string, given: Partial<NewRate> = {}) =>
  upsertRate(database.db, {
    accountId: null,
    channel: 'sms',
    carrier: null,
    since: '2020-01-01',
    source: '',
    price,
    ...given,
  })

const send = async (content = 'Hello') => (await acceptBroadcast(rt(), { accountId: list.accountId, list, content })).id

/** Writes the audience, sets the given numbers to their states and the others to `sent`. */
async function deliver(messageId: number, outcomes: Record<number, [state: string, carrierStatus?: string]> = {}) {
  while (await expandOnce(rt()));
  const { db } = database
  await db.exec('all_sent', `update message_log set state = 'sent' where message_id = $1 and state = 'queued'`, [
    messageId,
  ])
  for (const [phone, [state, status]] of Object.entries(outcomes)) {
    await db.exec(
      'set_state',
      `update message_log set state = $3::message_state, carrier_status = $4 where message_id = $1 and phone = $2`,
      [messageId, phone, state, status ?? null],
    )
  }
  await db.exec('delete_counters', 'delete from message_counters where message_id = $1 and counter_row > 0', [
    messageId,
  ])
  await db.exec(
    'recount',
    `update message_counters c set queued = n.queued, sent = n.sent, delivered = n.delivered, bounced = n.bounced,
            expired = n.expired, suppressed = n.suppressed, cancelled = n.cancelled, unknown = n.unknown
       from (select count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'sent') as sent,
                    count(*) filter (where state = 'delivered') as delivered,
                    count(*) filter (where state = 'bounced') as bounced,
                    count(*) filter (where state = 'expired') as expired,
                    count(*) filter (where state = 'suppressed') as suppressed,
                    count(*) filter (where state = 'cancelled') as cancelled,
                    count(*) filter (where state = 'unknown') as unknown
               from message_log where message_id = $1) n
      where c.message_id = $1 and c.counter_row = 0`,
    [messageId],
  )
  await finishMessages(db, new Date())
}

const billOf = (messageId: number) =>
  database.db.maybeOne(
    'bill_of',
    `select parts, least_parts as least, most_parts as most, trim_scale(cost)::text as cost
       from message_bills where message_id = $1`,
    [messageId],
  )

async function subscribe(...carriers: (number | null)[]) {
  for (const [i, carrier] of carriers.entries()) {
    const { phone } = await make.subscriber(database.db, {
      listId: list.id,
      phone: 2065560001 + i,
      firstName: 'x'.repeat(i),
    })
    if (carrier === null) continue
    await database.db.exec(
      'look_up',
      `insert into number_look_ups (phone, kind, carrier, looked_up_at) values ($1, 'mobile', $2, now())`,
      [phone, carrier],
    )
  }
}

test("adds up the parts of the submitted texts, and their cost at the rates of the phones' carriers", async () => {
  await subscribe(att, verizon, null, att)
  await rate('0.0079')
  await rate('0.0041', { carrier: att })
  const id = await send(`{first_name|}${'a'.repeat(159)}`)
  await database.db.exec('allow', 'update messages set max_parts = 3 where id = $1', [id])
  await deliver(id)
  expect(await billSent(rt())).toBe(true)
  // 159, 160, 161 and 162 characters
  expect(await billOf(id)).toEqual({ parts: 6, least: 1, most: 2, cost: '0.036' })
  expect(await billSent(rt())).toBe(false)
})

test('excludes texts that were not submitted; counts the parts of texts that the SMSC rejected, at no cost', async () => {
  await subscribe(null, null, null, null, null, null)
  await rate('1')
  const id = await send()
  await deliver(id, {
    2065560001: ['suppressed'],
    2065560002: ['cancelled'],
    2065560003: ['bounced', 'ESME_RINVDSTADR'],
    2065560004: ['bounced', '0x00000433'],
    2065560005: ['bounced', 'UNDELIV 433'],
    2065560006: ['unknown'],
  })
  await billSent(rt())
  expect(await billOf(id)).toEqual({ parts: 4, least: 1, most: 1, cost: '2' })
})

test('counts suppressed recipients by the reasons in the log, and again when the message is closed', async () => {
  await subscribe(null, null, null, null, null)
  const id = await send()
  await deliver(id, {
    2065560001: ['suppressed'],
    2065560002: ['suppressed'],
    2065560003: ['suppressed'],
    2065560004: ['suppressed'],
  })
  const reason = (phone: number, text: string) =>
    database.db.exec('reason', 'update message_log set reason = $3 where message_id = $1 and phone = $2', [
      id,
      phone,
      text,
    ])
  await reason(2065560001, 'opted_out')
  await reason(2065560002, 'opted_out')
  await reason(2065560003, 'a reason of tomorrow')
  await billSent(rt())
  const suppressions = async () =>
    (
      await database.db.one<{ suppressions: object }>(
        'suppressions',
        'select suppressions from message_bills where message_id = $1',
        [id],
      )
    ).suppressions
  expect(await suppressions()).toEqual({ opted_out: 2, 'a reason of tomorrow': 1, unknown: 1 })
  await reason(2065560004, 'too_late')
  await database.db.tx((tx) =>
    bill(tx, [{ messageId: id, loggedOn: new Date().toISOString().slice(0, 10) }], new Date()),
  )
  expect(await suppressions()).toEqual({ opted_out: 2, 'a reason of tomorrow': 1, too_late: 1 })
})

test('bills a message when it is sent, or when it is cancelled and no row is queued or submitting', async () => {
  await subscribe(null, null)
  await rate('0.5')
  const id = await send()
  while (await expandOnce(rt()));
  expect(await billSent(rt())).toBe(false)
  await database.db.exec('cancel', `update messages set status = 'cancelled', cancelled_at = now() where id = $1`, [id])
  expect(await billSent(rt())).toBe(false)
  await deliver(id, { 2065560001: ['cancelled'] })
  expect(await billSent(rt())).toBe(true)
  expect(await billOf(id)).toEqual({ parts: 1, least: 1, most: 1, cost: '0.5' })
})

test('bills zero parts for a message without recipients', async () => {
  const id = await send()
  await deliver(id)
  await billSent(rt())
  expect(await billOf(id)).toEqual({ parts: 0, least: 0, most: 0, cost: '0' })
})

test('bills several messages to given numbers in one round, each separately', async () => {
  await rate('0.01')
  const ids: number[] = []
  for (const [n, phone] of [2065560001, 2065560002, 2065560003].entries()) {
    const texts = { accountId: list.accountId, listId: list.id, shortCodeId: list.shortCodeId, phones: [phone] }
    const { id } = await sendToNumbers(rt(), { ...texts, content: 'a'.repeat(160 + n), maxParts: 2, field: 'x' })
    ids.push(id)
    await deliver(id)
  }
  expect(await billSent(rt())).toBe(true)
  expect(await billSent(rt())).toBe(false)
  expect(await Promise.all(ids.map(billOf))).toMatchObject([{ cost: '0.01' }, { cost: '0.02' }, { cost: '0.02' }])
})

describe('with several rates', () => {
  const cost = async () => {
    await subscribe(att)
    const id = await send()
    await deliver(id)
    await billSent(rt())
    return ((await billOf(id)) as { cost: string }).cost
  }

  test('prefers the rate of the carrier to the rate for all carriers', async () => {
    await rate('1')
    await rate('2', { carrier: att })
    await rate('3', { carrier: verizon })
    expect(await cost()).toBe('2')
  })

  test("prefers the account's rate to rates for all accounts, even one of the carrier", async () => {
    await rate('2', { carrier: att })
    await rate('1', { accountId: list.accountId })
    await rate('9', { accountId: (await make.account(database.db)).id })
    expect(await cost()).toBe('1')
  })

  test('uses the latest rate of the channel that is in effect', async () => {
    await rate('1', { since: '2019-01-01' })
    await rate('2', { since: '2025-01-01' })
    await rate('3', { since: '2999-01-01' })
    await rate('4', { channel: 'mms', since: '2026-01-01' })
    expect(await cost()).toBe('2')
  })

  test('replaces a rate by one with the same key', async () => {
    await rate('1')
    await rate('0.000001')
    expect(await cost()).toBe('0.000001')
  })
})

test('bills a message again when it is closed, with the carriers known by then', async () => {
  await subscribe(null)
  await rate('1')
  await rate('2', { carrier: att })
  const id = await send()
  await deliver(id)
  await billSent(rt())
  expect(await billOf(id)).toMatchObject({ cost: '1' })
  await database.db.exec(
    'look_up',
    `insert into number_look_ups (phone, kind, carrier, looked_up_at) values (2065560001, 'mobile', $1, now())`,
    [att],
  )
  const later = new Date(Date.now() + 30 * 86_400_000)
  await closeOverdue({ ...rt(), clock: { now: () => later } })
  expect(await billOf(id)).toMatchObject({ cost: '2' })
  const { closed } = await database.db.one<{ closed: boolean }>(
    'closed',
    'select closed_at is not null as closed from messages where id = $1',
    [id],
  )
  expect(closed).toBe(true)
})

test("uses the carrier stored on the list if there is no look-up of a phone's carrier", async () => {
  await subscribe(null, verizon)
  await database.db.exec('set_carriers', 'update subscribers set carrier = $2 where list_id = $1', [list.id, att])
  await rate('1')
  await rate('2', { carrier: att })
  await rate('4', { carrier: verizon })
  const id = await send()
  await deliver(id)
  await billSent(rt())
  expect(await billOf(id)).toMatchObject({ cost: '6' })
})

test('bills a message once with two workers, and writes no bill if a worker dies before its commit', async () => {
  await subscribe(null)
  await rate('1')
  const id = await send()
  await deliver(id)
  await expect(
    database.db.tx(async (tx) => {
      await billSent({ ...rt(), db: tx })
      throw new Error('killed')
    }),
  ).rejects.toThrow('killed')
  expect(await billOf(id)).toBeUndefined()
  await database.db.tx(async (tx) => {
    expect(await billSent({ ...rt(), db: tx })).toBe(true)
    expect(await billSent(rt())).toBe(false)
  })
  expect(await billSent(rt())).toBe(false)
  expect(await billOf(id)).toMatchObject({ cost: '1' })
})

test('counts rows that are in two chunks once', async () => {
  await subscribe(null, null, null)
  await rate('1')
  const id = await send()
  await deliver(id)
  await database.db.exec(
    'retry',
    `insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id, done_at)
     select message_id, short_code_id, logged_on, lane, due_at, first_log_id + 1, first_log_id + 1, now()
       from send_chunks where message_id = $1`,
    [id],
  )
  await billSent(rt())
  expect(await billOf(id)).toMatchObject({ parts: 3, cost: '3' })
})

test('merges adjacent and overlapping ranges of the same message', () => {
  const range = (messageId: number, first: number, last: number) => ({ messageId, listId: 1, first, last })
  const ranges = [range(1, 1, 5), range(1, 2, 3), range(1, 6, 9), range(2, 10, 12), range(2, 14, 15)]
  expect(mergeRanges(ranges)).toEqual([range(1, 1, 9), range(2, 10, 12), range(2, 14, 15)])
})
