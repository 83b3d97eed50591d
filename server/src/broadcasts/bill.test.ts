import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { type NewRate, upsertRate } from '../rates/rates.queries.ts'
import { billSent, merge } from './bill.ts'
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

/** Writes the audience and lets each number have its fate; the others are sent. */
async function deliver(messageId: number, fates: Record<number, [state: string, carrierStatus?: string]> = {}) {
  while (await expandOnce(rt()));
  const { db } = database
  await db.exec('all_sent', `update message_log set state = 'sent' where message_id = $1 and state = 'queued'`, [
    messageId,
  ])
  for (const [phone, [state, status]] of Object.entries(fates)) {
    await db.exec(
      'fate',
      `update message_log set state = $3::message_state, carrier_status = $4 where message_id = $1 and phone = $2`,
      [messageId, phone, state, status ?? null],
    )
  }
  await db.exec('forget_counts', 'delete from message_counters where message_id = $1 and counter_row > 0', [messageId])
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

test('adds up the parts of what went out, and what they cost by the carriers of the handsets', async () => {
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

test('who got nothing is not in it; what was refused at the door has parts and no price', async () => {
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

test('nothing is billed before it is sent; what was cancelled on the way is, once nothing moves', async () => {
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

test('a message to nobody comes to nothing', async () => {
  const id = await send()
  await deliver(id)
  await billSent(rt())
  expect(await billOf(id)).toEqual({ parts: 0, least: 0, most: 0, cost: '0' })
})

test('texts to given numbers are billed many at once, each by its own', async () => {
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

describe('of several rates', () => {
  const cost = async () => {
    await subscribe(att)
    const id = await send()
    await deliver(id)
    await billSent(rt())
    return ((await billOf(id)) as { cost: string }).cost
  }

  test("a carrier's comes before any carrier's", async () => {
    await rate('1')
    await rate('2', { carrier: att })
    await rate('3', { carrier: verizon })
    expect(await cost()).toBe('2')
  })

  test("the account's comes before everybody's, even a carrier's", async () => {
    await rate('2', { carrier: att })
    await rate('1', { accountId: list.accountId })
    await rate('9', { accountId: (await make.account(database.db)).id })
    expect(await cost()).toBe('1')
  })

  test('the latest that has begun counts, of its channel', async () => {
    await rate('1', { since: '2019-01-01' })
    await rate('2', { since: '2025-01-01' })
    await rate('3', { since: '2999-01-01' })
    await rate('4', { channel: 'mms', since: '2026-01-01' })
    expect(await cost()).toBe('2')
  })

  test('the same again corrects the first', async () => {
    await rate('1')
    await rate('0.000001')
    expect(await cost()).toBe('0.000001')
  })
})

test('it is reckoned again when it is closed, by what is known of the handsets then', async () => {
  await subscribe(null)
  await rate('1')
  await rate('2', { carrier: att })
  const id = await send()
  await deliver(id)
  await billSent(rt())
  expect(await billOf(id)).toMatchObject({ cost: '1' })
  await database.db.exec(
    'learn',
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

test("where no look-up knows a handset's carrier, the list's word counts", async () => {
  await subscribe(null, verizon)
  await database.db.exec('say', 'update subscribers set carrier = $2 where list_id = $1', [list.id, att])
  await rate('1')
  await rate('2', { carrier: att })
  await rate('4', { carrier: verizon })
  const id = await send()
  await deliver(id)
  await billSent(rt())
  expect(await billOf(id)).toMatchObject({ cost: '6' })
})

test('two workers bill each message once, and one that dies leaves it to the next', async () => {
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

test('rows that are in two chunks are counted once', async () => {
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

test('ranges are merged where they touch or overlap, those of one message only', () => {
  const range = (messageId: number, first: number, last: number) => ({ messageId, listId: 1, first, last })
  const ranges = [range(1, 1, 5), range(1, 2, 3), range(1, 6, 9), range(2, 10, 12), range(2, 14, 15)]
  expect(merge(ranges)).toEqual([range(1, 1, 9), range(2, 10, 12), range(2, 14, 15)])
})
