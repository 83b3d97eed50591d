import { beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, basic, useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { blockNumbers } from '../../short-codes/short-codes.queries.ts'

const now = new Date('2026-03-02T10:00:00Z')
const api = useApi({ clock: { now: () => now } })
const inAnHour = '2026-03-02T03:00:00-08:00'

let path: string
let listId: number
beforeEach(async () => {
  const { accountId, shortCode } = api.owner
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
  path = `/lists/${listId}/messages`
})

type Message = { id: number } & Record<string, unknown>

async function post(message: object): Promise<number> {
  const response = await api.owner.post(path, { message: { content: 'Soup on Friday', ...message } })
  expect(response, JSON.stringify(response.body)).toMatchObject({ status: 200, body: { status: 'OK' } })
  return (response.body.message as Message).id
}

const show = async (id: number) => (await api.owner.get(`${path}/${id}`)).body.message as Message
const idsOf = async (collection = '') =>
  ((await api.owner.get(`${path}${collection}`)).body.messages as Message[]).map(({ id }) => id)
const expansions = async (id: number) =>
  api.db.exec('find_expansion', 'select from expansions where message_id = $1', [id])

describe('a draft', () => {
  test('is stored and not sent', async () => {
    const id = await post({ draft: true, name: 'Friday' })
    expect(await show(id)).toMatchObject({
      status: 'draft',
      name: 'Friday',
      sent_at: '2026-03-02T02:00:00-08:00',
      is_broadcast: false,
      recipient_count: 0,
      send_cost: 0,
      attachment: null,
    })
    expect([await idsOf(), await idsOf('/draft'), await idsOf('/scheduled')]).toEqual([[], [id], []])
    expect(await expansions(id)).toBe(0)
  })

  test('changes only the given keys', async () => {
    const id = await post({ draft: true, name: 'Friday', max_parts: 2, audience: { tags_any: [' soup ', 'soup'] } })
    const changed = await api.owner.put(`${path}/${id}`, { message: { content: 'Soup on Saturday' } })
    expect(changed).toMatchObject({
      status: 200,
      body: {
        status: 'Message updated',
        message: { id, content: 'Soup on Saturday', name: 'Friday', max_parts: 2, audience: { tags_any: ['soup'] } },
      },
    })
    const emptied = await api.owner.put(`${path}/${id}`, { message: { name: null, audience: null, max_parts: null } })
    const message = emptied.body.message as Message
    expect(message).toMatchObject({ content: 'Soup on Saturday', name: '' })
    expect(Object.keys(message)).not.toEqual(expect.arrayContaining(['audience']))
    expect(Object.keys(message)).not.toEqual(expect.arrayContaining(['max_parts']))
  })

  test('stays within max_parts when the content or max_parts changes', async () => {
    const id = await post({ draft: true, content: 'a'.repeat(300), max_parts: 2 })
    for (const message of [{ max_parts: 1 }, { max_parts: null }, { content: 'a'.repeat(307) }]) {
      expect(await api.owner.put(`${path}/${id}`, { message })).toMatchObject({
        status: 422,
        body: { error: expect.stringContaining('Content is too long') },
      })
    }
    expect(await show(id)).toMatchObject({ content: 'a'.repeat(300), max_parts: 2 })
  })

  test('is sent on request, only once', async () => {
    const id = await post({ draft: true })
    expect(await api.owner.post(`${path}/${id}/send`)).toMatchObject({
      status: 200,
      body: { status: 'Message sending', message: { id, status: 'sending', is_broadcast: true } },
    })
    expect(await expansions(id)).toBe(1)
    expect(await idsOf()).toEqual([id])
    for (const rejected of [
      await api.owner.post(`${path}/${id}/send`),
      await api.owner.put(`${path}/${id}`, { message: { content: 'No' } }),
      await api.owner.delete(`${path}/${id}`),
    ]) {
      expect(rejected).toMatchObject({ status: 422, body: { code: 'wrong_message_status' } })
    }
  })

  test('is deleted', async () => {
    const id = await post({ draft: true })
    expect(await api.owner.delete(`${path}/${id}`)).toMatchObject({
      status: 200,
      body: { status: 'Message destroyed' },
    })
    expect(await api.owner.get(`${path}/${id}`)).toMatchObject({ status: 404, body: { error: 'Message not found' } })
  })

  test('cannot be cancelled', async () => {
    const id = await post({ draft: true })
    expect(await api.owner.post(`${path}/${id}/cancel`)).toMatchObject({
      status: 422,
      body: { error: 'Message is draft and cannot be cancelled' },
    })
  })
})

describe('a scheduled message', () => {
  test('shows its planned time', async () => {
    const id = await post({ send_at: '2026-03-02T11:00:00Z' })
    expect(await show(id)).toMatchObject({
      status: 'scheduled',
      sent_at: inAnHour,
      send_at: inAnHour,
      is_broadcast: false,
      cancelled_at: null,
    })
    expect([await idsOf(), await idsOf('/draft'), await idsOf('/scheduled')]).toEqual([[], [], [id]])
  })

  test.each(['send_at', 'deliver_by'])('has a %s in the year 2100 at the latest', async (key) => {
    const fault = { status: 422, body: { details: { [`message.${key}`]: ['must not be later than the year 2100'] } } }
    for (const late of ['2101-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '2100-12-31T23:00:00-05:00']) {
      expect(await api.owner.post(path, { message: { content: 'Hi', [key]: late } })).toMatchObject(fault)
    }
    const id = await post({ send_at: '2100-12-31T23:59:58Z', [key]: '2100-12-31T23:59:59Z' })
    expect(await api.owner.put(`${path}/${id}`, { message: { [key]: '2101-01-01T00:00:00Z' } })).toMatchObject(fault)
  })

  test('can be given another planned time, or none', async () => {
    const id = await post({ send_at: '2026-03-02T11:00:00Z' })
    const put = async (send_at: string | null) => api.owner.put(`${path}/${id}`, { message: { send_at } })
    expect((await put('2026-03-02T12:00:00+01:00')).body.message).toMatchObject({ send_at: inAnHour })
    expect(await put('2026-03-02T09:59:59Z')).toMatchObject({
      status: 422,
      body: { error: 'Validation failed: Send at must be in the future' },
    })
    expect((await put(null)).body.message).toMatchObject({ status: 'draft', sent_at: '2026-03-02T02:00:00-08:00' })
  })

  test('can be sent early', async () => {
    const id = await post({ send_at: '2026-03-02T11:00:00Z' })
    const sent = await api.owner.post(`${path}/${id}/send`)
    expect(sent.body.message).toMatchObject({ status: 'sending', sent_at: '2026-03-02T02:00:00-08:00' })
    expect(sent.body.message).not.toHaveProperty('send_at')
  })

  test('is cancelled, and cancelling it again has no further effect', async () => {
    const id = await post({ send_at: '2026-03-02T11:00:00Z' })
    const cancelled = {
      status: 200,
      body: {
        status: 'Message cancelled',
        message: {
          id,
          status: 'cancelled',
          cancelled_at: '2026-03-02T02:00:00-08:00',
          sent_at: '2026-03-02T02:00:00-08:00',
        },
      },
    }
    expect(await api.owner.post(`${path}/${id}/cancel`)).toMatchObject(cancelled)
    expect(await api.owner.post(`${path}/${id}/cancel`)).toMatchObject(cancelled)
    expect([await idsOf(), await idsOf('/scheduled')]).toEqual([[id], []])
    expect((await api.owner.delete(`${path}/${id}`)).status).toBe(422)
  })
})

test('a message that is being sent can be cancelled before its audience is written', async () => {
  const id = await post({})
  expect(await expansions(id)).toBe(1)
  expect((await api.owner.post(`${path}/${id}/cancel`)).status).toBe(200)
  expect(await expansions(id)).toBe(0)
})

test('a copy is a draft with the same content, name and audience', async () => {
  const id = await post({ name: 'Friday', max_parts: 3, audience: { tags_none: ['out'] } })
  const copied = await api.owner.post(`${path}/${id}/copy`)
  expect(copied).toMatchObject({
    status: 200,
    body: {
      status: 'Message copied',
      message: {
        status: 'draft',
        content: 'Soup on Friday',
        name: 'Friday',
        max_parts: 3,
        audience: { tags_none: ['out'] },
      },
    },
  })
  expect((copied.body.message as Message).id).not.toBe(id)
})

describe('a message to given numbers', () => {
  const logOf = (id: number) =>
    api.db.many<{ phone: number; state: string }>(
      'log_of',
      'select phone, state from message_log where message_id = $1 order by id',
      [id],
    )

  test('is sent to one number, and is not in the sent collection', async () => {
    const id = await post({ phone_number: '(206) 555-0143' })
    expect(await show(id)).toMatchObject({
      is_broadcast: false,
      phone_number: '2065550143',
      recipient_count: 1,
      pending_count: 1,
    })
    expect(await idsOf()).toEqual([])
    expect(await logOf(id)).toEqual([{ phone: 2065550143, state: 'queued' }])
  })

  test('is sent to several numbers, once each, in one chunk', async () => {
    const id = await post({ phone_numbers: ['2065550143', 2065550144, '+1 206 555 0143'], phone_number: '2065550145' })
    expect((await logOf(id)).map(({ phone }) => phone).sort()).toEqual([2065550143, 2065550144, 2065550145])
    expect(await show(id)).toMatchObject({ is_broadcast: false, recipient_count: 3 })
    expect(await show(id)).not.toHaveProperty('phone_number')
    const chunks = await api.db.many(
      'chunks_of',
      `select last_log_id - first_log_id + 1 as rows from send_chunks where message_id = $1`,
      [id],
    )
    expect(chunks).toEqual([{ rows: 3 }])
  })

  test.each(['unsubscribed', 'cleaned'] as const)('is rejected for all numbers if one is %s', async (state) => {
    await make.subscriber(api.db, { listId, phone: 2065550144, state })
    const response = await api.owner.post(path, {
      message: { content: 'x', phone_numbers: ['2065550143', '2065550144'] },
    })
    expect(response).toMatchObject({
      status: 422,
      body: { code: 'opted_out', error: 'Validation failed: Phone numbers has opted out: 2065550144' },
    })
    expect(await api.db.many('all_messages', 'select from messages')).toEqual([])
  })

  test('is rejected if one number sent STOP to the short code before it was on the list', async () => {
    await blockNumbers(api.db, api.owner.shortCode.id, [2065550143], now)
    expect((await api.owner.post(path, { message: { content: 'x', phone_number: '2065550143' } })).status).toBe(422)
  })

  test('is not counted in the draft of which it is a test', async () => {
    const id = await post({ draft: true })
    const response = await api.owner.post(`${path}/${id}/test`, { phone_numbers: ['2065550143', '2065550144'] })
    expect(response).toMatchObject({ status: 200, body: { status: 'OK' } })
    const test = (response.body.message as Message).id
    expect(await logOf(test)).toHaveLength(2)
    expect(await show(id)).toMatchObject({ status: 'draft', recipient_count: 0 })
    expect([await idsOf(), await idsOf('/draft')]).toEqual([[], [id]])
    for (const phone_numbers of [[], ['555'], [null], undefined]) {
      expect((await api.owner.post(`${path}/${id}/test`, { phone_numbers })).status).toBe(422)
    }
  })
})

describe('access', () => {
  const operations = [
    ['PUT', '', { message: { content: 'x' } }],
    ['DELETE', '', undefined],
    ['POST', '/send', undefined],
    ['POST', '/cancel', undefined],
    ['POST', '/test', { phone_numbers: ['2065550143'] }],
    ['POST', '/copy', undefined],
  ] as const

  const call = (person: ApiCaller, method: string, url: string, body: object | undefined, authorization?: string) => {
    const options = authorization ? { headers: { authorization } } : {}
    if (method === 'PUT') return person.put(url, body, options)
    return method === 'DELETE' ? person.delete(url, body, options) : person.post(url, body, options)
  }

  test.each(operations)(
    '%s %s responds with 404 for another account, another list, an unknown id or a message that is not a broadcast',
    async (method, end, body) => {
      const id = await post({ draft: true })
      const single = await post({ phone_number: '2065550143' })
      const { accountId, shortCode } = api.owner
      const other = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
      const responses = [
        [await call(api.stranger, method, `${path}/${id}${end}`, body), 'List not found'],
        [await call(api.owner, method, `/lists/${other.id}/messages/${id}${end}`, body), 'Message not found'],
        [await call(api.owner, method, `${path}/999999999${end}`, body), 'Message not found'],
        // a message to one number cannot be changed, but can be cancelled
        ...(end === '/cancel'
          ? []
          : [[await call(api.owner, method, `${path}/${single}${end}`, body), 'Message not found']]),
      ] as const
      for (const [response, error] of responses) expect(response).toMatchObject({ status: 404, body: { error } })
      expect(await show(id)).toMatchObject({ status: 'draft', content: 'Soup on Friday' })
    },
  )

  test.each(operations)('%s %s requires an API key that may send', async (method, end, body) => {
    for (const [scope, allowed] of [
      ['send', true],
      ['read', false],
    ] as const) {
      const id = await post(end === '/cancel' ? { send_at: '2026-03-02T11:00:00Z' } : { draft: true })
      const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, scope })
      const { status } = await call(api.owner, method, `${path}/${id}${end}`, body, basic(key))
      expect(status).toBe(allowed ? 200 : 403)
    }
  })
})
