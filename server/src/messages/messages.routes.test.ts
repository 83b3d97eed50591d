import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'

const clock = { now: () => new Date('2026-03-02T10:00:00Z') }
const api = useApi({ clock })

async function ownList() {
  const { accountId, shortCode } = api.owner
  return make.list(api.db, { accountId, shortCodeId: shortCode.id })
}

function send(listId: number, message: unknown) {
  return api.owner.post(`/lists/${listId}/messages`, { message })
}

describe('sending', () => {
  test('accepts a broadcast, which is immediately in the sent collection', async () => {
    const list = await ownList()
    const response = await send(list.id, { content: 'Fresh produce on Saturday', name: 'Produce', color: 'red' })
    expect(response).toMatchObject({ status: 200, body: { status: 'OK', message: { id: expect.any(Number) } } })
    const { id } = response.body.message as { id: number }
    const message = {
      id,
      content: 'Fresh produce on Saturday',
      sent_at: '2026-03-02T02:00:00-08:00',
      status: 'sending',
      name: 'Produce',
      is_broadcast: true,
      recipient_count: 0,
      success_count: 0,
      bounces_count: 0,
      pending_count: 0,
      clean_count: 0,
      unsubscribe_count: 0,
      suppressed_count: 0,
      sms_count: 0,
      mms_count: 0,
      rcs_count: 0,
      send_cost: 0,
      attachment: null,
      cancelled_at: null,
      created_at: '2026-03-02T02:00:00-08:00',
    }
    expect((await api.owner.get(`/lists/${list.id}/messages/${id}`)).body).toEqual({ status: 'OK', message })
    expect((await api.owner.get(`/lists/${list.id}/messages`)).body).toEqual({
      status: 'OK',
      per_page: 10,
      count: 1,
      page: 1,
      pages_count: 1,
      messages: [message],
    })
  })

  test.each([
    ['160 letters', 'a'.repeat(160)],
    ['160 code points, twice as many code units', '🙏'.repeat(160)],
    ['letters beyond GSM-7', 'żółć'],
  ])('accepts %s', async (_case, content) => {
    const list = await ownList()
    const response = await send(list.id, { content })
    expect(response.status).toBe(200)
    const { id } = response.body.message as { id: number }
    expect((await api.owner.get(`/lists/${list.id}/messages/${id}`)).body.message).toMatchObject({ content })
  })

  test.each([
    ['161 letters', { content: 'a'.repeat(161) }, 'Content is too long (maximum is 160 characters)'],
    ['161 code points', { content: '🙏'.repeat(161) }, 'Content is too long (maximum is 160 characters)'],
    ['empty content', { content: '' }, "Content can't be blank"],
    ['blank content', { content: ' \n\t' }, "Content can't be blank"],
    ['no content', {}, "Content can't be blank"],
    ['null as the content', { content: null }, 'Content must be a string'],
    ['a number as the content', { content: 5 }, 'Content must be a string'],
    ['an array as the content', { content: ['a'] }, 'Content must be a string'],
    ['a NUL character', { content: 'a\0' }, 'Content contains a NUL character'],
    ['null as the phone number', { content: 'a', phone_number: null }, 'Phone number must be a string or an integer'],
    ['a malformed phone number', { content: 'a', phone_number: '555' }, 'Phone number must be ten digits'],
    ['an empty phone number', { content: 'a', phone_number: '' }, 'Phone number must be ten digits'],
    ['an empty array of phone numbers', { content: 'a', phone_numbers: [] }, "Phone numbers can't be blank"],
    [
      'a draft to one number',
      { content: 'a', phone_number: '2065550143', draft: true },
      'Draft is only for a message to the list, not for one with phone numbers',
    ],
    [
      'a draft with a planned time',
      { content: 'a', draft: true, send_at: '2026-03-02T11:00:00Z' },
      'Send at is not allowed for a draft',
    ],
    ['a planned time in the past', { content: 'a', send_at: '2026-03-02T10:00:00Z' }, 'Send at must be in the future'],
    [
      'a planned time without an offset',
      { content: 'a', send_at: '2026-03-02T11:00:00' },
      'Send at must be a time with an offset, as 2031-05-06T09:00:00-07:00',
    ],
    [
      'a planned time on a day that does not exist',
      { content: 'a', send_at: '2026-02-30T11:00:00Z' },
      'Send at must be a time with an offset, as 2031-05-06T09:00:00-07:00',
    ],
    ['zero parts', { content: 'a', max_parts: 0 }, 'Max parts must be greater than or equal to 1'],
    ['eleven parts', { content: 'a', max_parts: 11 }, 'Max parts must be less than or equal to 10'],
    [
      'two parts if one is allowed',
      { content: 'a'.repeat(161), max_parts: 1 },
      'Content is too long (maximum is 1 part)',
    ],
    [
      '307 letters if two parts are allowed',
      { content: 'a'.repeat(307), max_parts: 2 },
      'Content is too long (maximum is 2 parts)',
    ],
    ['90,000 letters', { content: 'a'.repeat(90_000), max_parts: 10 }, 'Content is too long (maximum is 10 parts)'],
    ['an empty audience', { content: 'a', audience: {} }, "Audience can't be blank"],
    [
      'an audience with an empty array of tags',
      { content: 'a', audience: { tags_any: [] } },
      "Tags any can't be blank",
    ],
    [
      'an unknown key of an audience',
      { content: 'a', audience: { tags_any: ['a'], tag_none: ['b'] } },
      'Audience is invalid',
    ],
    [
      'an unknown custom field',
      { content: 'a', audience: { custom_fields: [{ key: 'team', op: 'exists' }] } },
      'Custom fields name a field that the list does not have: team',
    ],
    ['no message', undefined, "Message can't be blank"],
    ['a string as the message', 'Hello', 'Message must be an object'],
  ])('rejects %s, and sends nothing', async (_case, message, error) => {
    const list = await ownList()
    const response = await send(list.id, message)
    expect(response).toMatchObject({ status: 422, body: { status: 'error', error: `Validation failed: ${error}` } })
    expect((await api.owner.get(`/lists/${list.id}/messages`)).body.count).toBe(0)
  })
})

type Made = {
  listId: number
  status?: string
  sentAt?: string
  acceptedAt?: string
  kind?: string
  createdAt?: string
  sendAt?: string
}

async function makeMessage(given: Made): Promise<number> {
  const { listId, status = 'sent', sentAt, acceptedAt, kind = 'broadcast', createdAt, sendAt } = given
  const { id } = await api.db.one<{ id: number }>(
    'make_message',
    `with added as (
       insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                             accepted_at, sent_at, created_at, send_at, starts_at)
       values ($1, $2, $3, $4, 'x', 'subscribed', 1, $5, '2026-03-02', $6, $7, $8, $9, $9) returning id)
     insert into message_counters (message_id) select id from added returning message_id as id`,
    [
      api.owner.accountId,
      listId,
      api.owner.shortCode.id,
      kind,
      status,
      acceptedAt ?? sentAt ?? '2026-03-01T00:00:00Z',
      sentAt ?? null,
      createdAt ?? '2026-03-01T00:00:00Z',
      sendAt ?? (status === 'scheduled' ? '2026-03-03T00:00:00Z' : null),
    ],
  )
  return id
}

describe('collections', () => {
  test('contain the messages of their status, newest first', async () => {
    const { id: listId } = await ownList()
    const sent = await makeMessage({ listId, sentAt: '2026-03-01T00:00:00Z' })
    const sending = await makeMessage({ listId, status: 'sending' })
    const cancelled = await makeMessage({ listId, status: 'cancelled' })
    const draft = await makeMessage({ listId, status: 'draft' })
    const scheduled = await makeMessage({ listId, status: 'scheduled' })
    await makeMessage({ listId, kind: 'system' })
    await makeMessage({ listId: (await ownList()).id })
    const idsOf = async (path: string) => {
      const response = await api.owner.get(`/lists/${listId}/messages${path}`)
      const messages = response.body.messages as { id: number }[]
      expect(response.body.count).toBe(messages.length)
      return messages.map(({ id }) => id)
    }
    expect(await idsOf('')).toEqual([cancelled, sending, sent])
    expect(await idsOf('/draft')).toEqual([draft])
    expect(await idsOf('/scheduled')).toEqual([scheduled])
  })

  test('are filtered by UTC dates, both inclusive, in the query or a body', async () => {
    const { id: listId } = await ownList()
    const times = ['2026-02-27T23:59:59Z', '2026-02-28T00:00:00Z', '2026-03-01T23:59:59Z', '2026-03-02T00:00:00Z']
    const ids: number[] = []
    for (const sentAt of times) ids.push(await makeMessage({ listId, sentAt }))
    const path = `/lists/${listId}/messages`
    const found = async (query: string, body?: unknown) => {
      const response = await api.owner.get(
        `${path}${query}`,
        body === undefined ? {} : { payload: JSON.stringify(body) },
      )
      expect(response.status).toBe(200)
      return (response.body.messages as { id: number }[]).map(({ id }) => ids.indexOf(id)).sort()
    }
    expect(await found('?start_date=20260228&end_date=20260301')).toEqual([1, 2])
    expect(await found('?start_date=20260302')).toEqual([3])
    expect(await found('?end_date=20260227')).toEqual([0])
    expect(await found('', { start_date: '20260228', end_date: 20260301 })).toEqual([1, 2])
    expect(await found('', { start_date: null })).toEqual([0, 1, 2, 3])
    const both = await found('?start_date=20260302', { start_date: '20260228', end_date: '20260301' })
    expect(both, 'the body takes precedence').toEqual([1, 2])
    expect(await found('', { page: 2, per_page: 3 })).toEqual([0])
  })

  test.each([
    ['draft', 'createdAt'],
    ['scheduled', 'sendAt'],
  ] as const)('of %s messages are filtered by %s', async (status, key) => {
    const { id: listId } = await ownList()
    const other = { createdAt: '2026-01-01T00:00:00Z', sendAt: '2027-01-01T00:00:00Z' }
    const ids: number[] = []
    for (const time of [
      '2026-03-04T23:59:59Z',
      '2026-03-05T00:00:00Z',
      '2026-03-05T23:59:59Z',
      '2026-03-06T00:00:00Z',
    ]) {
      ids.push(await makeMessage({ listId, status, ...other, [key]: time }))
    }
    const path = `/lists/${listId}/messages/${status}?start_date=20260305&end_date=20260305`
    const response = await api.owner.get(path)
    expect((response.body.messages as { id: number }[]).map(({ id }) => id)).toEqual([ids[2], ids[1]])
  })

  test.each(['2026-03-01', '20260230', 'abc', '2026030'])('reject %s as a date', async (day) => {
    const { id } = await ownList()
    expect(await api.owner.get(`/lists/${id}/messages?start_date=${day}`)).toMatchObject({
      status: 422,
      body: { error: 'Validation failed: Start date is not a date (YYYYMMDD)' },
    })
  })
})

test('responds with 404 for a message of another list or account, and for a system message', async () => {
  const list = await ownList()
  const id = await makeMessage({ listId: list.id })
  const other = await ownList()
  const system = await makeMessage({ listId: list.id, kind: 'system' })
  for (const path of [
    `/lists/${other.id}/messages/${id}`,
    `/lists/${list.id}/messages/${system}`,
    `/lists/${list.id}/messages/x`,
  ]) {
    expect(await api.owner.get(path)).toMatchObject({ status: 404, body: { error: 'Message not found' } })
  }
  const path = `/lists/${list.id}/messages`
  for (const rejected of [
    await api.stranger.get(`${path}/${id}`),
    await api.stranger.get(path),
    await api.stranger.post(path, { message: { content: 'x' } }),
  ]) {
    expect(rejected).toMatchObject({ status: 404, body: { error: 'List not found' } })
  }
})
