import { afterEach, describe, expect, test } from 'vitest'
import { type Answer, useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { getList } from '../lists/lists.ts'
import { findSubscriberForUpdate } from '../subscribers/subscribers.queries.ts'
import { optOut } from './opt-out.ts'
import { addSubscriber } from './subscribe.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

afterEach(() => {
  clock.time = start
})

function pass(hours: number, minutes = 0) {
  clock.time = new Date(clock.time.getTime() + (hours * 60 + minutes) * 60_000)
}

const phone = '2065550143'
const pending = 'Subscriber being added to campaign pending confirmation'
const silent = 'Subscriber has been added - no opt-in message was sent due to list settings.'
const bypassed = { bypass_opt_in_process: true, bypass_opt_in_response: true }

type ListRow = { id: number }
async function newList(texts: object = {}): Promise<ListRow> {
  const answer = await api.owner.post('/lists', { list: { name: 'Pantry', ...texts } })
  return answer.body.list as ListRow
}

function add(list: ListRow, subscriber: object = {}): Promise<Answer> {
  return api.owner.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: phone, ...subscriber } })
}

async function countsOf(list: ListRow) {
  const answer = await api.owner.get(`/lists/${list.id}`)
  return (answer.body.list as { counts: object }).counts
}

function ledgerOf(list: ListRow, db: Db = api.db) {
  return db.many<{ kind: string; method: string; actor: string; wording: string | null }>(
    'read_ledger',
    'select kind, method, actor, wording from opts where list_id = $1 order by phone, id',
    [list.id],
  )
}

async function textsOf(list: ListRow, db: Db = api.db) {
  const rows = await db.many<{ content: string }>(
    'read_texts',
    `select m.content from messages m join message_log g on g.message_id = m.id
      where m.list_id = $1 and m.kind = 'system' order by m.id`,
    [list.id],
  )
  return rows.map(({ content }) => content)
}

describe('without bypass', () => {
  test('the number is asked to confirm, and counts as nothing yet', async () => {
    const list = await newList({ message_yes: 'Pantry: reply YES' })
    const answer = await add(list, { phone_number: '+1 (206) 555-0143', first_name: 'Marisol', tags: 'a, b b ,a' })
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({
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
        api_source: null,
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

  test('a list without a question of its own asks in our words', async () => {
    const list = await newList()
    await add(list)
    expect(await textsOf(list)).toEqual([expect.stringMatching(/^Pantry: reply YES .*STOP/)])
  })

  test('is not asked twice within 48 hours, and nothing changes; then it is', async () => {
    const list = await newList()
    await add(list, { first_name: 'Marisol' })
    pass(47, 59)
    const answer = await add(list, { first_name: 'Other' })
    expect(answer).toMatchObject({
      status: 201,
      body: {
        status: 'Subscriber has already been sent opt-in message for this campaign.',
        subscriber: { optin_in_progress: true, first_name: 'Marisol' },
      },
    })
    expect(await textsOf(list)).toHaveLength(1)
    pass(0, 1)
    expect((await add(list, { first_name: 'Other' })).body).toMatchObject({
      status: pending,
      subscriber: { first_name: 'Other' },
    })
    expect(await textsOf(list)).toHaveLength(2)
    expect((await ledgerOf(list)).map(({ kind }) => kind)).toEqual(['opt_in_requested', 'opt_in_requested'])
  })

  test('is asked again as soon as the list has it', async () => {
    const list = await newList({ resend_block_hours: 1 })
    await add(list)
    pass(0, 59)
    expect((await add(list)).body.status).toMatch(/^Subscriber has already been sent/)
    pass(0, 1)
    expect((await add(list)).body.status).toBe(pending)
    await api.owner.put(`/lists/${list.id}`, { list: { resend_block_hours: 0 } })
    expect((await add(list)).body.status).toBe(pending)
    expect(await textsOf(list)).toHaveLength(3)
  })
})

describe('with bypass', () => {
  test('of both: subscribed, without a text', async () => {
    const list = await newList({ first_optin_message: 'Welcome' })
    const answer = await add(list, bypassed)
    expect(answer).toMatchObject({
      status: 201,
      body: { status: silent, subscriber: { optin_in_progress: false, subscribed_at: '2026-03-02T02:00:00-08:00' } },
    })
    expect(await textsOf(list)).toEqual([])
    expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
    expect((await ledgerOf(list)).map(({ kind }) => kind)).toEqual(['opt_in'])
  })

  test('of the question only: subscribed and welcomed, once as new and later as back again', async () => {
    const list = await newList({ first_optin_message: 'Welcome', second_optin_message: 'Welcome back' })
    expect((await add(list, { bypass_opt_in_process: true })).body.status).toBe('Subscriber added')
    await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)
    pass(48)
    const answer = await add(list, { bypass_opt_in_process: true })
    expect(answer.body).toMatchObject({
      status: 'Subscriber added',
      // the first subscription, and the last opt-out
      subscriber: { subscribed_at: '2026-03-02T02:00:00-08:00', opted_out_at: '2026-03-02T02:00:00-08:00' },
    })
    expect(await textsOf(list)).toEqual(['Welcome', 'Welcome back'])
    expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
  })

  test('of the question, on a list without a welcome: no text', async () => {
    expect((await add(await newList(), { bypass_opt_in_process: true })).body.status).toBe(silent)
  })

  test('of the welcome only: asked all the same', async () => {
    expect((await add(await newList(), { bypass_opt_in_response: true })).body.status).toBe(pending)
  })

  test('a number that was asked and has not answered is subscribed', async () => {
    const list = await newList()
    await add(list)
    expect((await add(list, bypassed)).body).toMatchObject({ status: silent, subscriber: { optin_in_progress: false } })
    expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
  })

  test.each([true, 'true', 1, '1'])('%j is yes', async (flag) => {
    const both = { bypass_opt_in_process: flag, bypass_opt_in_response: flag }
    expect((await add(await newList(), both)).body.status).toBe(silent)
  })

  test.each([false, 'false', 0, '0', null, ''])('%j is no', async (flag) => {
    expect((await add(await newList(), { bypass_opt_in_process: flag })).body.status).toBe(pending)
  })

  test.each(['yes', 2, {}, []])('%j is neither', async (flag) => {
    expect((await add(await newList(), { bypass_opt_in_process: flag })).status).toBe(422)
  })
})

test('a subscribed number stays as it is, profile and all', async () => {
  const list = await newList({ first_optin_message: 'Welcome' })
  await add(list, { ...bypassed, first_name: 'Marisol', tags: ['a'] })
  pass(100)
  const answer = await add(list, { bypass_opt_in_process: true, first_name: 'Other', tags: 'b' })
  expect(answer).toMatchObject({
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
  ])('nobody adds the number back for 48 hours: %s', async (_case, flags) => {
    const list = await optedOut()
    pass(0, 5)
    const answer = await add(list, { ...flags, first_name: 'Other' })
    expect(answer).toMatchObject({
      status: 201,
      body: {
        status: 'Subscriber cannot be added: security timeout, wait 47 hours and 55 minutes',
        subscriber: { first_name: 'Marisol', optin_in_progress: false, opted_out_at: '2026-03-02T02:00:00-08:00' },
      },
    })
    expect(await textsOf(list)).toEqual([])
    expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 1, cleaned: 0 })
    pass(47, 55)
    expect((await add(list)).body).toMatchObject({ status: pending, subscriber: { optin_in_progress: true } })
    expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 0, cleaned: 0 })
  })

  test('a list may have another time for that', async () => {
    const list = await optedOut()
    await api.owner.put(`/lists/${list.id}`, { list: { resubscribe_timeout_hours: 100 } })
    pass(50)
    expect((await add(list, bypassed)).body.status).toBe(
      'Subscriber cannot be added: security timeout, wait 50 hours and 0 minutes',
    )
    await api.owner.put(`/lists/${list.id}`, { list: { resubscribe_timeout_hours: 0 } })
    expect((await add(list, bypassed)).body.status).toBe(silent)
  })

  test('another list of the same account takes it', async () => {
    await optedOut()
    expect((await add(await newList(), bypassed)).body.status).toBe(silent)
  })
})

test('a cleaned number starts over', async () => {
  const list = await newList()
  await make.subscriber(api.db, { listId: list.id, phone: Number(phone), state: 'cleaned', at: new Date('2026-01-01') })
  expect(await countsOf(list)).toEqual({ subscribers: 0, unsubscribed: 0, cleaned: 1 })
  expect((await add(list, bypassed)).body.status).toBe(silent)
  expect(await countsOf(list)).toEqual({ subscribers: 1, unsubscribed: 0, cleaned: 0 })
})

describe('the carrier that the look-up names', () => {
  const lookUp = {
    kind: 'mobile',
    carrier: 77,
    carrierName: 'Verizon',
    ported: true,
    globalCarrierId: '100313',
    globalCarrierName: 'Verizon Wireless',
  } as const
  const shown = {
    carrier: 77,
    carrier_name: 'Verizon',
    global_carrier_id: '100313',
    global_carrier_name: 'Verizon Wireless',
  }

  async function addWith(list: ListRow, given: Partial<typeof lookUp> | undefined) {
    await addSubscriber(api.rt, {
      list: await getList(api.db, api.owner.accountId, list.id),
      phone: Number(phone),
      profile: {},
      bypassProcess: true,
      bypassResponse: true,
      lookUp: given && { ...lookUp, ...given },
      actor: 'key:1',
    })
    return (await api.owner.get(`/lists/${list.id}/subscribers/${phone}`)).body.subscriber
  }

  test('is kept with a number that is added, and with one that comes back', async () => {
    const list = await newList()
    expect(await addWith(list, lookUp)).toMatchObject(shown)
    await api.db.exec('clean', `update subscribers set state = 'cleaned', carrier = 1 where list_id = $1`, [list.id])
    expect(await addWith(list, undefined)).toMatchObject({ ...shown, carrier: 1 })
    await api.db.exec('clean', `update subscribers set state = 'cleaned', carrier = 1 where list_id = $1`, [list.id])
    expect(await addWith(list, lookUp)).toMatchObject(shown)
  })

  test('changes nothing of a number that is subscribed', async () => {
    const list = await newList()
    await addWith(list, undefined)
    expect(await addWith(list, lookUp)).toMatchObject({ carrier: 0, carrier_name: null, global_carrier_id: null })
  })
})

describe('refused', () => {
  test('a landline, in the sandbox', async () => {
    const list = await newList()
    const answer = await add(list, { phone_number: '2065550100' })
    expect(answer).toMatchObject({
      status: 422,
      body: { status: 'error', error: 'Bad phone number: landline or unreachable carrier', code: 'bad_phone_number' },
    })
    expect(await ledgerOf(list)).toEqual([])
  })

  test.each(['', '206555014', '22065550143', '1065550143', 'abcdefghij', 206555014, '2065550143x'])(
    'the number %j',
    async (phone_number) => {
      expect(await add(await newList(), { phone_number })).toMatchObject({
        status: 422,
        body: { error: expect.stringMatching(/^Bad phone number: /) },
      })
    },
  )

  test.each([
    ['no number', { phone_number: undefined }, "Phone number can't be blank"],
    ['a null number', { phone_number: null }, 'Phone number must be a string or an integer'],
    ['a number that is a list', { phone_number: ['2065550143'] }, 'Phone number must be a string or an integer'],
    ['a long name', { first_name: 'a'.repeat(51) }, 'First name is too long (maximum is 50 characters)'],
    ['a long zip code', { zip_code: '1234567' }, 'Zip code is too long (maximum is 6 characters)'],
    ['an unknown gender', { gender: 'male' }, 'Gender is not included in the list'],
    ['a day that is none', { birthdate: '19910231' }, 'Birthdate is invalid'],
    ['half a day', { birthdate: '910217' }, 'Birthdate is invalid'],
    ['a name that is an object', { last_name: {} }, 'Last name must be a string or null'],
    ['a NUL', { first_name: 'a\0b' }, 'First name contains a NUL character'],
    ['a long tag', { tags: 'a'.repeat(256) }, 'Tags is too long (maximum is 255 characters)'],
    ['tags that are numbers', { tags: [1, 2] }, 'Tags must be a string'],
  ])('%s', async (_case, subscriber, error) => {
    const list = await newList()
    const answer = await add(list, subscriber)
    expect(answer.status).toBe(422)
    expect(answer.body.error).toBe(`Validation failed: ${error}`)
    expect(await ledgerOf(list)).toEqual([])
  })

  test("on a stranger's list", async () => {
    const list = await newList()
    const answer = await api.stranger.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: phone } })
    expect(answer).toMatchObject({ status: 404, body: { error: 'List not found' } })
    expect(await ledgerOf(list)).toEqual([])
  })
})

describe('at the same time', () => {
  async function world() {
    const fresh = await freshDatabase()
    const rt = makeRuntime({ db: fresh.db, url: fresh.url, clock })
    const made = await make.list(fresh.db)
    const list = await getList(fresh.db, made.accountId, made.id)
    const input = { list, phone: Number(phone), profile: {}, bypassResponse: false, actor: 'key:1' }
    const state = async () =>
      (await fresh.db.one<{ state: string }>('state', 'select state from subscribers where list_id = $1', [list.id]))
        .state
    return { fresh, rt, list, input, state }
  }

  test('many adds of one number make one row and one text', async () => {
    const { fresh, rt, list, input } = await world()
    try {
      const adds = Array.from({ length: 8 }, () => addSubscriber(rt, { ...input, bypassProcess: false }))
      const outcomes = (await Promise.all(adds)).map(({ outcome }) => outcome).sort()
      expect(outcomes).toEqual([...Array(7).fill('already_asked'), 'confirmation_sent'])
      expect(await textsOf(list, fresh.db)).toHaveLength(1)
      expect(await ledgerOf(list, fresh.db)).toHaveLength(1)
    } finally {
      await fresh.close()
    }
  })

  test('an add that waits for an opt-out is refused', async () => {
    const { fresh, rt, list, input, state } = await world()
    try {
      await make.subscriber(fresh.db, { listId: list.id, phone: Number(phone), state: 'pending', at: start })
      const waiting = Promise.withResolvers<void>()
      const leaving = fresh.db.tx(async (tx) => {
        await findSubscriberForUpdate(tx, list.id, Number(phone))
        waiting.resolve()
        await waitFor(() => isSomebodyWaiting(fresh.db))
        const out = { accountId: list.accountId, listId: list.id, phone: Number(phone), actor: 'key:1' }
        await optOut({ ...rt, db: tx }, { ...out, method: 'api' })
      })
      await waiting.promise
      const added = await addSubscriber(rt, { ...input, bypassProcess: true })
      await leaving
      expect(added.outcome).toBe('security_timeout')
      expect(await state()).toBe('unsubscribed')
    } finally {
      await fresh.close()
    }
  })

  test('an opt-out that waits for an add comes into force after it', async () => {
    const { fresh, rt, list, input, state } = await world()
    try {
      await addSubscriber(rt, { ...input, bypassProcess: false })
      const added = Promise.withResolvers<void>()
      const adding = fresh.db.tx(async (tx) => {
        await addSubscriber({ ...rt, db: tx }, { ...input, bypassProcess: true, bypassResponse: true })
        added.resolve()
        await waitFor(() => isSomebodyWaiting(fresh.db))
      })
      await added.promise
      const out = { accountId: list.accountId, listId: list.id, phone: Number(phone), actor: 'key:1' }
      expect(await optOut(rt, { ...out, method: 'api' })).toBe('opted_out')
      await adding
      expect(await state()).toBe('unsubscribed')
      expect((await ledgerOf(list, fresh.db)).map(({ kind }) => kind)).toEqual([
        'opt_in_requested',
        'opt_in',
        'opt_out',
      ])
    } finally {
      await fresh.close()
    }
  })
})

async function isSomebodyWaiting(db: Db): Promise<boolean> {
  const { n } = await db.one<{ n: number }>(
    'count_waiting',
    `select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return n > 0
}
