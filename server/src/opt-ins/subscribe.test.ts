import { afterEach, describe, expect, test } from 'vitest'
import { type ApiResponse, basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

afterEach(() => {
  clock.time = start
})

function advance(hours: number, minutes = 0) {
  clock.time = new Date(clock.time.getTime() + (hours * 60 + minutes) * 60_000)
}

const phone = '2065550143'
const pending = 'Subscriber being added to campaign pending confirmation'
const silent = 'Subscriber has been added - no opt-in message was sent due to list settings.'
const bypassed = { bypass_opt_in_process: true, bypass_opt_in_response: true }

type ListRow = { id: number }
async function newList(texts: object = {}): Promise<ListRow> {
  const response = await api.owner.post('/lists', { list: { name: 'Pantry', ...texts } })
  return response.body.list as ListRow
}

function add(list: ListRow, subscriber: object = {}): Promise<ApiResponse> {
  return api.owner.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: phone, ...subscriber } })
}

async function countsOf(list: ListRow) {
  const response = await api.owner.get(`/lists/${list.id}`)
  return (response.body.list as { counts: object }).counts
}

function ledgerOf(list: ListRow) {
  return api.db.many<{ kind: string; method: string; actor: string; wording: string | null }>(
    'read_ledger',
    'select kind, method, actor, wording from opts where list_id = $1 order by phone, id',
    [list.id],
  )
}

async function textsOf(list: ListRow) {
  const rows = await api.db.many<{ content: string }>(
    'read_texts',
    `select m.content from messages m join message_log g on g.message_id = m.id
      where m.list_id = $1 and m.kind = 'system' order by m.id`,
    [list.id],
  )
  return rows.map(({ content }) => content)
}

describe('without bypass', () => {
  test('the number receives the opt-in request, and is not counted', async () => {
    const list = await newList({ message_yes: 'Pantry: reply YES' })
    const response = await add(list, { phone_number: '+1 (206) 555-0143', first_name: 'Marisol', tags: 'a, b b ,a' })
    expect(response.status).toBe(201)
    expect(response.body).toEqual({
      status: pending,
      subscriber: {
        phone_number: phone,
        first_name: 'Marisol',
        last_name: '',
        email: '',
        birthdate: '',
        zip_code: '',
        gender: null,
        cleaned_at: null,
        subscribed_at: null,
        opted_out_at: null,
        optin_in_progress: true,
        opt_in_method: 'api',
        api_source: 'test',
        keyword_name: null,
        carrier: 0,
        carrier_name: null,
        tags: ['a', 'b b'],
        global_carrier_id: null,
        global_carrier_name: null,
      },
    })
    expect(await textsOf(list)).toEqual(['Pantry: reply YES'])
    expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 0, cleaned: 0 })
    expect(await ledgerOf(list)).toEqual([
      { kind: 'opt_in_requested', method: 'api', actor: `key:${api.owner.keyId}`, wording: 'Pantry: reply YES' },
    ])
  })

  test('api_source is the name of the key that added the number last', async () => {
    const list = await newList()
    await add(list)
    const created = await api.owner.post('/api_keys', { api_key: { name: 'CRM' } })
    const { key } = created.body.api_key as { key: string }
    advance(48)
    const path = `/lists/${list.id}/subscribers`
    const again = { subscriber: { phone_number: phone } }
    expect(await api.owner.post(path, again, { headers: { authorization: basic(key) } })).toMatchObject({
      status: 201,
      body: { status: pending, subscriber: { opt_in_method: 'api', api_source: 'CRM' } },
    })
    const rows = await api.db.many('read_sources', 'select source from opts where list_id = $1 order by id', [list.id])
    expect(rows).toEqual([{ source: 'test' }, { source: 'CRM' }])
  })

  test('a list without its own request text sends the default', async () => {
    const list = await newList()
    await add(list)
    expect(await textsOf(list)).toEqual([expect.stringMatching(/^Pantry: reply YES .*STOP/)])
  })

  test('a second request is sent only after 48 hours, and nothing changes before then', async () => {
    const list = await newList()
    await add(list, { first_name: 'Marisol' })
    advance(47, 59)
    const response = await add(list, { first_name: 'Other' })
    expect(response).toMatchObject({
      status: 201,
      body: {
        status: 'Subscriber has already been sent opt-in message for this campaign.',
        subscriber: { optin_in_progress: true, first_name: 'Marisol' },
      },
    })
    expect(await textsOf(list)).toHaveLength(1)
    advance(0, 1)
    expect((await add(list, { first_name: 'Other' })).body).toMatchObject({
      status: pending,
      subscriber: { first_name: 'Other' },
    })
    expect(await textsOf(list)).toHaveLength(2)
    expect((await ledgerOf(list)).map(({ kind }) => kind)).toEqual(['opt_in_requested', 'opt_in_requested'])
  })

  test('a list may set another interval between requests', async () => {
    const list = await newList({ resend_block_hours: 1 })
    await add(list)
    advance(0, 59)
    expect((await add(list)).body.status).toMatch(/^Subscriber has already been sent/)
    advance(0, 1)
    expect((await add(list)).body.status).toBe(pending)
    await api.owner.put(`/lists/${list.id}`, { list: { resend_block_hours: 0 } })
    expect((await add(list)).body.status).toBe(pending)
    expect(await textsOf(list)).toHaveLength(3)
  })
})

describe('with bypass', () => {
  test('of both, the number is subscribed without a text', async () => {
    const list = await newList({ first_optin_message: 'Welcome' })
    const response = await add(list, bypassed)
    expect(response).toMatchObject({
      status: 201,
      body: { status: silent, subscriber: { optin_in_progress: false, subscribed_at: '2026-03-02T02:00:00-08:00' } },
    })
    expect(await textsOf(list)).toEqual([])
    expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
    expect((await ledgerOf(list)).map(({ kind }) => kind)).toEqual(['opt_in'])
  })

  test('of the request only, the number is subscribed and gets a welcome, another one if it was subscribed before', async () => {
    const list = await newList({ first_optin_message: 'Welcome', second_optin_message: 'Welcome back' })
    expect((await add(list, { bypass_opt_in_process: true })).body.status).toBe('Subscriber added')
    await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)
    advance(48)
    const response = await add(list, { bypass_opt_in_process: true })
    expect(response.body).toMatchObject({
      status: 'Subscriber added',
      // the first subscription, and the last opt-out
      subscriber: { subscribed_at: '2026-03-02T02:00:00-08:00', opted_out_at: '2026-03-02T02:00:00-08:00' },
    })
    expect(await textsOf(list)).toEqual(['Welcome', 'Welcome back'])
    expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
  })

  test('of the request, a list without a welcome sends no text', async () => {
    expect((await add(await newList(), { bypass_opt_in_process: true })).body.status).toBe(silent)
  })

  test('of the welcome only, the request is sent', async () => {
    expect((await add(await newList(), { bypass_opt_in_response: true })).body.status).toBe(pending)
  })

  test('of both, a pending number is subscribed', async () => {
    const list = await newList()
    await add(list)
    expect((await add(list, bypassed)).body).toMatchObject({ status: silent, subscriber: { optin_in_progress: false } })
    expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
  })

  test.each([true, 'true', 1, '1'])('%j is true', async (flag) => {
    const both = { bypass_opt_in_process: flag, bypass_opt_in_response: flag }
    expect((await add(await newList(), both)).body.status).toBe(silent)
  })

  test.each([false, 'false', 0, '0', null, ''])('%j is false', async (flag) => {
    expect((await add(await newList(), { bypass_opt_in_process: flag })).body.status).toBe(pending)
  })

  test.each(['yes', 2, {}, []])('%j is invalid', async (flag) => {
    expect((await add(await newList(), { bypass_opt_in_process: flag })).status).toBe(422)
  })
})

test('a subscribed number stays unchanged, including its profile', async () => {
  const list = await newList({ first_optin_message: 'Welcome' })
  await add(list, { ...bypassed, first_name: 'Marisol', tags: ['a'] })
  advance(100)
  const response = await add(list, { bypass_opt_in_process: true, first_name: 'Other', tags: 'b' })
  expect(response).toMatchObject({
    status: 200,
    body: {
      status: 'Subscriber is already subscribed to this campaign.',
      subscriber: { first_name: 'Marisol', tags: ['a'], optin_in_progress: false },
    },
  })
  expect(await textsOf(list)).toEqual([])
  expect(await ledgerOf(list)).toHaveLength(1)
})

describe('after an opt-out', () => {
  async function optedOut() {
    const list = await newList()
    await add(list, { ...bypassed, first_name: 'Marisol' })
    await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)
    return list
  }

  test.each([
    ['no flags', {}],
    ['both flags', bypassed],
  ])('the number cannot be added for 48 hours: %s', async (_case, flags) => {
    const list = await optedOut()
    advance(0, 5)
    const response = await add(list, { ...flags, first_name: 'Other' })
    expect(response).toMatchObject({
      status: 201,
      body: {
        status: 'Subscriber cannot be added: security timeout, wait 47 hours and 55 minutes',
        subscriber: { first_name: 'Marisol', optin_in_progress: false, opted_out_at: '2026-03-02T02:00:00-08:00' },
      },
    })
    expect(await textsOf(list)).toEqual([])
    expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 1, cleaned: 0 })
    advance(47, 55)
    expect((await add(list)).body).toMatchObject({ status: pending, subscriber: { optin_in_progress: true } })
    expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 0, cleaned: 0 })
  })

  test('a list may set another timeout', async () => {
    const list = await optedOut()
    await api.owner.put(`/lists/${list.id}`, { list: { resubscribe_timeout_hours: 100 } })
    advance(50)
    expect((await add(list, bypassed)).body.status).toBe(
      'Subscriber cannot be added: security timeout, wait 50 hours and 0 minutes',
    )
    await api.owner.put(`/lists/${list.id}`, { list: { resubscribe_timeout_hours: 0 } })
    expect((await add(list, bypassed)).body.status).toBe(silent)
  })

  test('another list of the account accepts the number', async () => {
    await optedOut()
    expect((await add(await newList(), bypassed)).body.status).toBe(silent)
  })
})

test('a cleaned number can be added again', async () => {
  const list = await newList()
  await make.subscriber(api.db, { listId: list.id, phone: Number(phone), state: 'cleaned', at: new Date('2026-01-01') })
  expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 0, cleaned: 1 })
  expect((await add(list, bypassed)).body.status).toBe(silent)
  expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
})
