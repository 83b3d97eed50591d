import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { numberEvents } from './sequence.ts'

const start = new Date('2026-03-02T10:00:00.500Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

afterEach(() => {
  clock.time = start
})

const phone = '2065550143'
const bypassed = { bypass_opt_in_process: true, bypass_opt_in_response: true }
const allFlags = { subscribe: true, unsubscribe: true, message_sent: true, cleaned: true, reply_received: true }

type Payload = Record<string, unknown>

async function newList(flags: object | null = allFlags) {
  const list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  if (flags)
    await api.owner.post(`/lists/${list.id}/webhooks`, { webhook: { callback_url: 'https://a.example', ...flags } })
  return list
}

const add = (list: { id: number }, subscriber: object = {}) =>
  api.owner.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: phone, ...bypassed, ...subscriber } })

/** Numbers all events and returns the payloads of those that this call numbered. */
async function numbered(): Promise<Payload[]> {
  // the commit of a real transaction
  await api.db.exec('fire_triggers', 'set constraints all immediate')
  await api.db.exec('defer_triggers', 'set constraints all deferred')
  const payloads: string[] = []
  while (
    (await numberEvents(api.db, async (_tx, events) => void payloads.push(...events.map(({ payload }) => payload))))
      .isFull
  ) {}
  return payloads.map((payload) => JSON.parse(payload) as Payload)
}

beforeEach(async () => {
  await numbered()
})

describe('subscribing', () => {
  test('reports the profile, in the order of the contract, with custom fields after the fixed keys', async () => {
    const list = await newList()
    await api.owner.post(`/lists/${list.id}/custom_fields`, {
      custom_field: { key: 'shelf', label: 'Shelf', content_type: 'number', max_length: 5 },
    })
    await add(list, {
      first_name: 'Marisol',
      email: 'marisol@pantry.example',
      birthdate: '1990-04-09',
      tags: 'a, b b',
      shelf: 12,
    })
    const [payload, ...others] = await numbered()
    expect(others).toEqual([])
    expect(Object.entries(payload ?? {})).toEqual(
      Object.entries({
        type: 'subscribe',
        timestamp: '2026-03-02T02:00:00-08:00',
        account_id: api.owner.accountId,
        campaign_id: list.id,
        opt_id: expect.any(Number),
        phone_number: phone,
        carrier_id: 0,
        carrier_name: null,
        first_name: 'Marisol',
        last_name: null,
        email_address: 'marisol@pantry.example',
        gender: null,
        zip_code: null,
        birthdate: '04/09/1990',
        birthday: '04/09',
        tag_list: ['a', 'b b'],
        first_opt_in_timestamp: '2026-03-02T02:00:00-08:00',
        last_opt_in_method: 'api',
        last_opt_in_keyword: null,
        total_messages_received: 0,
        shelf: 12,
      }),
    )
  })

  test('is reported at the confirmation, and not while a number has to confirm', async () => {
    const list = await newList()
    await api.owner.put(`/lists/${list.id}`, { list: { message_yes: 'Reply YES' } })
    await add(list, { bypass_opt_in_process: false })
    await add(list, { bypass_opt_in_process: false })
    expect(await numbered()).toEqual([])
    await add(list)
    expect(await numbered()).toMatchObject([{ type: 'subscribe', phone_number: phone }])
    await add(list)
    expect(await numbered()).toEqual([])
  })
})

test('leaving reports the time and the latest opt-in', async () => {
  const list = await newList()
  await add(list)
  await numbered()
  clock.time = new Date('2026-07-01T19:00:00Z')
  expect((await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)).status).toBe(200)
  const payloads = await numbered()
  expect(payloads).toHaveLength(1)
  expect(Object.keys(payloads[0] ?? {}).slice(0, 6)).toEqual([
    'type',
    'timestamp',
    'unsubscribe_date',
    'account_id',
    'campaign_id',
    'opt_id',
  ])
  expect(payloads[0]).toMatchObject({ unsubscribe_date: '2026-07-01T12:00:00-07:00', last_opt_in_method: 'api' })
})

/** Inserts a row of the ledger, by keyword. */
const record = (list: { id: number }, kind: string, keyword: string) =>
  api.db.exec(
    'record',
    `insert into opts (account_id, list_id, phone, kind, method, keyword_name, actor, created_at)
     values ($1, $2, $3, $4, 'keyword', $5, 'mo:1', $6)`,
    [api.owner.accountId, list.id, phone, kind, keyword, clock.time],
  )

test('of several opt-ins, the latest one of the list is reported, with the broadcasts that were received before it', async () => {
  const [list, other] = [await newList(), await newList(null)]
  const reported: unknown[][] = []
  const commit = async () => {
    for (const payload of await numbered())
      reported.push([payload.type, payload.last_opt_in_keyword, payload.total_messages_received])
  }
  await add(list)
  await commit()
  await api.db.exec('received', 'insert into received_counts values ($1, $2, 3)', [list.id, phone])
  clock.time = new Date('2026-07-01T19:00:00Z')
  for (const [kind, keyword] of [
    ['opt_out', 'STOP'],
    ['opt_in', 'CEDAR'],
    ['opt_in', 'AGAIN'],
    ['opt_out', 'STOP'],
  ] as const) {
    await record(list, kind, keyword)
    await record(other, 'opt_in', 'OTHER')
    await commit()
  }
  expect(reported).toEqual([
    ['subscribe', null, 0],
    ['unsubscribe', null, 3],
    ['subscribe', 'CEDAR', 3],
    ['subscribe', 'AGAIN', 3],
    ['unsubscribe', 'AGAIN', 3],
  ])
})

test('the profile is that of the end of the transaction, also if it is written after the opt-in', async () => {
  const list = await newList()
  await add(list, { first_name: 'Marisol' })
  await numbered()
  await record(list, 'opt_in', 'CEDAR')
  await api.db.exec('rename', `update subscribers set first_name = 'Ana' where list_id = $1`, [list.id])
  expect(await numbered()).toMatchObject([{ type: 'subscribe', first_name: 'Ana' }])
})

test('leaving again, and deleting the list, report nothing', async () => {
  const [list, other] = [await newList(), await newList()]
  for (const each of [list, other]) await add(each)
  await numbered()
  for (let n = 0; n < 2; n++) await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)
  expect(await numbered()).toMatchObject([{ type: 'unsubscribe', campaign_id: list.id }])
  for (const each of [list, other]) expect((await api.owner.delete(`/lists/${each.id}`)).status).toBe(200)
  await api.owner.delete(`/lists/${other.id}/subscribers/${phone}`)
  expect(await numbered()).toEqual([])
})

test('no custom field replaces a fixed key, also if it is older than the reservation of its key', async () => {
  const list = await newList()
  const keys = ['unsubscribe_date', 'total_messages_received', 'opt_id', 'type', 'aisle']
  await api.db.exec(
    'fields',
    `insert into custom_fields (list_id, key, label, content_type, max_length, created_at, updated_at)
     select $1, key, key, 'text', 20, now(), now() from unnest($2::text[]) key`,
    [list.id, keys],
  )
  await add(list)
  const before = await numbered()
  const values = Object.fromEntries(keys.map((key) => [key, 'mine']))
  await api.db.exec('values', 'update subscribers set custom_fields = $2 where list_id = $1', [
    list.id,
    JSON.stringify(values),
  ])
  await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)
  const [payload] = await numbered()
  expect(before[0]).toMatchObject({ type: 'subscribe', unsubscribe_date: null, aisle: null })
  expect(payload).toMatchObject({
    type: 'unsubscribe',
    unsubscribe_date: '2026-03-02T02:00:00-08:00',
    opt_id: expect.any(Number),
    total_messages_received: 0,
    aisle: 'mine',
  })
})

test('a cleaned number reports its subscriber, the reason and the last message, in the order of the contract', async () => {
  const list = await newList()
  await add(list)
  await numbered()
  await api.db.exec(
    'clean',
    `with cleaned as (
       update subscribers set state = 'cleaned', cleaned_at = $2, clean_reason = 'hard_bounce', last_message_id = 77
        where list_id = $1 returning phone)
     insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     select $3, $1, phone, 'cleaned', 'carrier', 'mt:5', $2 from cleaned`,
    [list.id, clock.time, api.owner.accountId],
  )
  const { id } = await api.db.one<{ id: number }>('id', 'select id from subscribers where list_id = $1', [list.id])
  const [payload, ...others] = await numbered()
  expect(others).toEqual([])
  expect(Object.entries(payload ?? {})).toEqual(
    Object.entries({
      type: 'cleaned',
      timestamp: '2026-03-02T02:00:00-08:00',
      account_id: api.owner.accountId,
      campaign_id: list.id,
      subscriber_id: id,
      phone_number: phone,
      cleaned_at: '2026-03-02T02:00:00-08:00',
      clean_reason: 'hard_bounce',
      last_message_id: 77,
    }),
  )
})

describe('without a webhook for the type', () => {
  test.each([
    ['no webhook', null],
    ['webhooks for other types', { ...allFlags, subscribe: false }],
  ])('nothing is inserted: %s', async (_name, flags) => {
    const list = await newList(flags)
    await add(list)
    expect(await numbered()).toEqual([])
  })

  test('a deleted webhook ends the events, and the feed of the account has all', async () => {
    const list = await newList()
    const { body } = await api.owner.get(`/lists/${list.id}/webhooks`)
    const [webhook] = body.webhooks as { id: number }[]
    await api.owner.delete(`/lists/${list.id}/webhooks/${webhook?.id}`)
    await add(list)
    expect(await numbered()).toEqual([])
    await api.db.exec('feed_on', 'update accounts set event_feed = true where id = $1', [api.owner.accountId])
    await add(list, { phone_number: '2065550144' })
    expect(await numbered()).toMatchObject([{ type: 'subscribe', phone_number: '2065550144' }])
    await api.db.exec('feed_off', 'update accounts set event_feed = false where id = $1', [api.owner.accountId])
  })
})
