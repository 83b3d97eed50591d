import { gzipSync } from 'node:zlib'
import { beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, basic, type Method, readResponse, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'

const api = useApi()

const call: ApiCaller['send'] = (...request) => api.owner.send(...request)

let list = { id: 0 }
let webhook = { id: 0 }
let attempt = { id: 0 }
let replay = { id: 0 }
let report = { id: 0 }
/** A broadcast that is being sent, a draft, and a text to a number. */
let messages = { sent: 0, draft: 0, text: 0 }
const phone = '2065550143'
const field = { label: 'Size', key: 'size', content_type: 'number', max_length: 3 }

beforeEach(async () => {
  list = await make.list(api.db, {
    accountId: api.owner.accountId,
    shortCodeId: api.owner.shortCode.id,
    name: 'Pantry',
  })
  await make.subscriber(api.db, { listId: list.id, phone: Number(phone) })
  webhook = await make.webhook(api.db, { listId: list.id })
  const { position } = await make.numberedEvent(api.db, { listId: list.id })
  attempt = await make.deliveryAttempt(api.db, { webhookId: webhook.id, position })
  replay = await make.replay(api.db, { webhookId: webhook.id })
  report = await make.momtReport(api.db, { accountId: api.owner.accountId })
  await api.owner.post(`/lists/${list.id}/custom_fields`, { custom_field: field })
  const send = async (message: object) => {
    const { body } = await api.owner.post(`/lists/${list.id}/messages`, { message: { content: 'Hello', ...message } })
    return (body.message as { id: number }).id
  }
  messages = { sent: await send({}), draft: await send({ draft: true }), text: await send({ phone_numbers: [phone] }) }
})

const donation = { amount: '25', donation_platform: 'GiveRiver', donation_platform_uid: 'gr-1' }

/** All operations below /api/v2, each with its valid body, if it has one, and the status of its success. */
const operations: [method: Method, path: string, body: object | undefined, success: number][] = [
  ['GET', '/accounts/me', undefined, 200],
  ['GET', '/api_keys', undefined, 200],
  ['POST', '/api_keys', { api_key: { name: 'Mailer' } }, 201],
  ['POST', '/momt_reports', { date_from: '2026-02-01T00:00:00Z', date_to: '2026-02-28T00:00:00Z' }, 200],
  ['GET', '/momt_reports', undefined, 200],
  ['GET', '/momt_reports/REPORT', undefined, 200],
  ['POST', '/momt_reports/REPORT/cancel', undefined, 200],
  ['GET', '/shortcodes', undefined, 200],
  ['POST', '/shortcodes/CODE/test_keyword', { keyword_name: 'PIZZA' }, 200],
  ['GET', '/connections', undefined, 200],
  ['POST', '/connections', { connection: { name: 'Cedar SMS', host: '127.0.0.1', mps: 30 } }, 201],
  ['GET', '/shortcodes/CODE/routes', undefined, 200],
  ['PUT', '/shortcodes/CODE/routes', { shortcode: { mps: 100 } }, 200],
  ['GET', '/rates', undefined, 200],
  ['POST', '/rates', { rate: { price: '0.0079', since: '2031-06-01' } }, 201],
  ['GET', '/quiet_hours', undefined, 200],
  ['PUT', '/quiet_hours', { quiet_hours: { broadcasts: true } }, 200],
  ['GET', '/lists', undefined, 200],
  ['POST', '/lists', { list: { name: 'New' } }, 200],
  ['GET', '/lists/LIST', undefined, 200],
  ['GET', '/lists/LIST/sizes', undefined, 200],
  ['PUT', '/lists/LIST', { list: { name: 'Renamed' } }, 200],
  ['DELETE', '/lists/LIST', undefined, 200],
  ['PUT', '/lists/LIST/keywords', { keyword_names: ['PIZZA', 'SALAD'] }, 200],
  ['PUT', '/lists/LIST/opt_in_settings', { opt_in_type: 'single' }, 200],
  ['GET', '/lists/LIST/webhooks', undefined, 200],
  ['POST', '/lists/LIST/webhooks', { webhook: { callback_url: 'https://hooks.cedar.example/' } }, 201],
  ['GET', '/lists/LIST/webhooks/HOOK', undefined, 200],
  ['PUT', '/lists/LIST/webhooks/HOOK', { webhook: { cleaned: true } }, 200],
  ['POST', '/lists/LIST/webhooks/HOOK', { webhook: { cleaned: true } }, 200],
  ['DELETE', '/lists/LIST/webhooks/HOOK', undefined, 200],
  ['GET', '/lists/LIST/webhooks/HOOK/secret', undefined, 200],
  ['PUT', '/lists/LIST/webhooks/HOOK/secret', { webhook_secret: { previous_valid_hours: 1 } }, 200],
  ['GET', '/callback_secret', undefined, 200],
  ['PUT', '/callback_secret', { callback_secret: { previous_valid_hours: 1 } }, 200],
  ['POST', '/lists/LIST/webhooks/HOOK/replays', { replay: { from_position: 1 } }, 202],
  ['GET', '/lists/LIST/webhooks/HOOK/replays/REPLAY', undefined, 200],
  ['POST', '/lists/LIST/webhooks/HOOK/test_events', { test_event: { type: 'subscribe' } }, 202],
  ['GET', '/lists/LIST/webhooks/HOOK/preview', undefined, 200],
  [
    'POST',
    '/callback_test_events',
    { callback_test_event: { type: 'transactional_message_reply', webhook_callback_url: 'https://shop.example/' } },
    202,
  ],
  ['GET', '/lists/LIST/webhooks/HOOK/health', undefined, 200],
  ['GET', '/lists/LIST/webhooks/HOOK/deliveries', undefined, 200],
  ['GET', '/webhook_attempts', undefined, 200],
  ['GET', '/webhook_attempts/ATTEMPT', undefined, 200],
  ['POST', '/webhook_attempts/ATTEMPT/replay', undefined, 202],
  ['GET', '/events', undefined, 200],
  ['GET', '/event_feed', undefined, 200],
  ['PUT', '/event_feed', { event_feed: { enabled: true } }, 200],
  ['GET', '/lists/LIST/donations', undefined, 200],
  ['GET', `/lists/LIST/subscribers/${phone}/donations`, undefined, 200],
  ['POST', `/lists/LIST/subscribers/${phone}/donations`, donation, 201],
  ['GET', '/lists/LIST/custom_fields', undefined, 200],
  ['POST', '/lists/LIST/custom_fields', { custom_field: { ...field, key: 'team', label: 'Team' } }, 201],
  ['POST', '/lists/LIST/custom_field', { custom_field: { ...field, key: 'team', label: 'Team' } }, 201],
  ['DELETE', '/lists/LIST/custom_fields', { key: field.key }, 200],
  ['GET', '/lists/LIST/subscribers', undefined, 200],
  ['GET', '/lists/LIST/subscribers/unsubscribed', undefined, 200],
  ['GET', '/lists/LIST/subscribers/cleaned', undefined, 200],
  ['POST', '/lists/LIST/subscribers/add_tags', { phone_numbers: [phone], tags: ['a', 'b'] }, 200],
  ['POST', '/lists/LIST/bulk_taggings', { bulk_tagging: { phone_numbers: [phone], tags: ['a', 'b'] } }, 200],
  ['DELETE', '/lists/LIST/tags', { tags: ['a', 'b'] }, 200],
  ['DELETE', `/lists/LIST/subscribers/${phone}/tags`, { tags: ['a', 'b'] }, 200],
  ['PUT', `/lists/LIST/subscribers/${phone}/async`, { subscriber: { first_name: 'Marisol' } }, 200],
  ['GET', `/lists/LIST/subscribers/${phone}`, undefined, 200],
  ['POST', '/lists/LIST/subscribers', { subscriber: { phone_number: '2065550144' } }, 201],
  ['PUT', `/lists/LIST/subscribers/${phone}`, { subscriber: { first_name: 'Marisol' } }, 200],
  ['DELETE', `/lists/LIST/subscribers/${phone}`, undefined, 200],
  ['GET', '/lists/LIST/messages', undefined, 200],
  ['GET', '/lists/LIST/messages/draft', undefined, 200],
  ['GET', '/lists/LIST/messages/scheduled', undefined, 200],
  ['POST', '/lists/LIST/messages', { message: { content: 'Hello' } }, 200],
  ['GET', '/lists/LIST/messages/SENT', undefined, 200],
  ['PUT', '/lists/LIST/messages/DRAFT', { message: { content: 'Soup' } }, 200],
  ['DELETE', '/lists/LIST/messages/DRAFT', undefined, 200],
  ['POST', '/lists/LIST/messages/DRAFT/send', undefined, 200],
  ['POST', '/lists/LIST/messages/SENT/cancel', undefined, 200],
  ['POST', '/lists/LIST/messages/SENT/pause', undefined, 200],
  ['POST', '/lists/LIST/messages/SENT/resume', undefined, 200],
  ['POST', '/lists/LIST/messages/DRAFT/test', { phone_numbers: [phone] }, 200],
  ['POST', '/lists/LIST/messages/SENT/copy', undefined, 200],
  ['POST', '/lists/LIST/messages/DRAFT/flight_plan', undefined, 202],
  ['GET', '/lists/LIST/messages/SENT/recipients', undefined, 200],
  ['GET', `/lists/LIST/messages/TEXT/recipients/${phone}`, undefined, 200],
  ['GET', '/lists/LIST/messages/SENT/clicks', undefined, 200],
  ['GET', '/lists/LIST/messages/SENT/donations', undefined, 200],
  ['POST', '/lists/LIST/messages/SENT/donations', donation, 201],
  ['POST', '/lists/LIST/flight_plans', { message: { content: 'Hello' } }, 202],
  ['POST', '/transactional_messages', { transactional_message: { number: phone, content: 'Hello' } }, 200],
]

/** Operations for which a misspelled key would cost money or plan a different message. */
const rejectsUnknownKeys = ['POST /rates', 'POST /lists/LIST/flight_plans']

/** Replaces the placeholders of a path with the ids of this test. */
const fillIn = (path: string) =>
  path
    .replace('LIST', String(list.id))
    .replace('CODE', api.owner.shortCode.code)
    .replace('HOOK', String(webhook.id))
    .replace('ATTEMPT', String(attempt.id))
    .replace('REPLAY', String(replay.id))
    .replace('REPORT', String(report.id))
    .replace('SENT', String(messages.sent))
    .replace('DRAFT', String(messages.draft))
    .replace('TEXT', String(messages.text))

/** Encodes a body as a form, in the notation of PHP and Rails. */
function formOf(body: object): string {
  return pairsOf(body)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&')
}

/** Encodes a body as a multipart form with the boundary `cedar`. */
function multipartOf(body: object): string {
  const parts = pairsOf(body).map(
    ([name, value]) => `--cedar\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  return `${parts.join('')}--cedar--\r\n`
}

/** Returns the names and values of the fields of a body as a form. */
function pairsOf(value: unknown, name = ''): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[name, String(value)]]
  return Object.entries(value).flatMap(([key, part]) => {
    return pairsOf(part, name === '' ? key : `${name}[${Array.isArray(value) ? '' : key}]`)
  })
}

/** Adds keys next to the fields of a body: inside its envelope, if it has one. */
function withKeys(body: object, keys: object): object {
  const [[noun = '', fields] = []] = Object.entries(body)
  const hasEnvelope = typeof fields === 'object' && !Array.isArray(fields)
  return { ...body, ...(hasEnvelope ? { [noun]: { ...fields, ...keys } } : keys), other: null }
}

test('the table of operations is complete', () => {
  const { paths } = api.app.swagger() as { paths: Record<string, object> }
  const described = Object.entries(paths)
    .filter(
      ([path]) =>
        path.startsWith('/api/v2/') &&
        !path.includes('/imports') &&
        !path.includes('{api_key_id}') &&
        !path.includes('{connection_id}') &&
        !path.includes('{rate_id}') &&
        !path.includes('{flight_plan_id}') &&
        !path.includes('{transactional_message_id}'),
    )
    .flatMap(([path, methods]) =>
      Object.keys(methods)
        // tested with its PUT
        .filter((method) => method !== 'patch')
        .map((method) => `${method.toUpperCase()} ${path.slice('/api/v2'.length)}`),
    )
  const tested = operations.map(([method, path]) =>
    `${method} ${path}`
      .replace('LIST', '{list_id}')
      .replace('CODE', '{shortcode}')
      .replace('HOOK', '{webhook_id}')
      .replace('ATTEMPT', '{attempt_id}')
      .replace('REPLAY', '{replay_id}')
      .replace('REPORT', '{momt_report_id}')
      .replace(/SENT|DRAFT|TEXT/, '{message_id}')
      .replace(phone, '{phone_number}'),
  )
  expect(tested.sort()).toEqual(described.sort())
})

describe.each(operations)('%s %s', (method, path, body, success) => {
  const json = body === undefined ? undefined : JSON.stringify(body)

  test('accepts every content type and wrapping of the body', async () => {
    const variants: Record<string, string>[] = [
      { 'content-type': 'application/json' },
      { 'content-type': 'application/json; charset=utf-8' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'text/plain' },
      { 'content-type': 'json' },
      {},
    ]
    for (const headers of variants) {
      expect((await callAndRollBack(headers, json)).status, JSON.stringify(headers)).toBe(success)
    }
    if (json === undefined) return
    expect((await callAndRollBack({ 'content-type': 'application/json' }, JSON.stringify(json))).status).toBe(success)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await callAndRollBack(form, formOf(body ?? {}))).status).toBe(success)
    const multipart = { 'content-type': 'multipart/form-data; boundary=cedar' }
    expect((await callAndRollBack(multipart, multipartOf(body ?? {}))).status).toBe(success)
  })

  test('responds 415 to a compressed body', async () => {
    const compressed = gzipSync(json ?? '{}')
    for (const headers of [{ 'content-encoding': 'gzip' }, {} as Record<string, string>]) {
      expect((await callAndRollBack(headers, compressed)).status).toBe(415)
    }
    expect((await callAndRollBack({ 'content-encoding': 'identity' }, json)).status).toBe(success)
  })

  if (method === 'PUT') {
    test('is also available as PATCH', async () => {
      expect((await callAndRollBack({}, json, 'PATCH')).status).toBe(success)
    })
  }

  if (body !== undefined && method !== 'GET') {
    test('reads a body in the query', async () => {
      const query = `?${formOf(body)}`
      expect((await callAndRollBack({}, undefined, method, query)).status).toBe(success)
      // the body takes precedence
      const wrong = `?${formOf(Object.fromEntries(Object.keys(body).map((key) => [key, 'x'])))}`
      expect((await callAndRollBack({}, json, method, wrong)).status).toBe(success)
    })
  }

  if (body === undefined) {
    test.each(['', ' ', 'null', '[]', '{}', '{"page":1}'])('accepts a body of %j', async (payload) => {
      expect((await callAndRollBack({ 'content-type': 'application/json' }, payload)).status).toBe(success)
    })
  } else {
    test.each(['', 'null', '[]', '{}', '""'])('reports the missing fields of a body of %j', async (payload) => {
      const response = await callAndRollBack({ 'content-type': 'application/json' }, payload)
      expect(response.status).toBe(422)
      expect(response.body.details).toEqual(
        Object.fromEntries(Object.keys(body).map((key) => [key, ["can't be blank"]])),
      )
    })

    const allOf = (wrong: unknown) => JSON.stringify(Object.fromEntries(Object.keys(body).map((key) => [key, wrong])))
    test.each(['[1]', allOf(true), allOf([[]])])('rejects the types of %j', async (payload) => {
      const response = await callAndRollBack({ 'content-type': 'application/json' }, payload)
      expect(response).toMatchObject({ status: 422, body: { status: 'error', code: 'invalid' } })
      expect(response.body.error).toMatch(/^Validation failed: [\w ]+ must be an? \w+/)
    })

    const isStrict = rejectsUnknownKeys.includes(`${method} ${path}`)
    test(`${isStrict ? 'rejects' : 'ignores'} unknown keys`, async () => {
      const extended = withKeys(body, { color: 'red', nested: { deep: [1] } })
      expect((await callAndRollBack({}, JSON.stringify(extended))).status).toBe(isStrict ? 422 : success)
    })
  }

  test('responds 400 to malformed JSON and changes nothing', async () => {
    const response = await callAndRollBack({ 'content-type': 'application/json' }, '{"a":')
    expect(response).toMatchObject({ status: 400, body: { status: 'error', code: 'unreadable_request' } })
  })

  test('responds 413 to a body over a megabyte', async () => {
    const response = await callAndRollBack({}, `{"a":"${'x'.repeat(1_000_001)}"}`)
    expect(response).toMatchObject({ status: 413, body: { status: 'error', code: 'body_too_large' } })
  })

  test('accepts a trailing slash and an ampersand at the start of the query', async () => {
    const headers = { 'content-type': 'application/json' }
    expect((await call(method, `${fillIn(path)}/?&page=1`, headers, json)).status).toBe(success)
  })

  test('responds 401 without a key', async () => {
    const response = readResponse(await api.app.inject({ method, url: `/api/v2${fillIn(path)}`, payload: json ?? '' }))
    expect(response).toMatchObject({ status: 401, body: { error: 'API key authorization failure' } })
  })

  if (path.includes('LIST')) {
    test("responds 404 for another account's list", async () => {
      const authorization = basic(api.stranger.key)
      const response = await call(method, fillIn(path), { authorization }, json)
      expect(response).toMatchObject({ status: 404, body: { status: 'error', error: 'List not found' } })
    })
  }

  /** Calls the operation and undoes its changes, so that a test can call it again. */
  async function callAndRollBack(
    headers: Record<string, string>,
    payload: string | Buffer | undefined,
    sentMethod: Method = method,
    query = '',
  ) {
    await api.db.exec('before', 'savepoint before')
    try {
      return await call(sentMethod, fillIn(path) + query, headers, payload)
    } finally {
      await api.db.exec('undo', 'rollback to savepoint before')
    }
  }
})
