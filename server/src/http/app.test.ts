import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basic, readResponse, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readEnv } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { makeApp, startApi } from './app.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH'

const log: string[] = []
const api = useApi({ log: pino({ level: 'trace' }, { write: (line: string) => void log.push(line) }) as never })

async function call(method: Method, path: string, headers: Record<string, string> = {}, payload?: string | Buffer) {
  const authorization = basic(api.owner.key)
  const body = payload === undefined ? {} : { payload }
  return readResponse(
    await api.app.inject({ method, url: `/api/v2${path}`, headers: { authorization, ...headers }, ...body }),
  )
}

let list = { id: 0 }
let webhook = { id: 0 }
let report = { id: 0 }
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
  report = await make.momtReport(api.db, { accountId: api.owner.accountId })
  await api.owner.post(`/lists/${list.id}/custom_fields`, { custom_field: field })
  log.length = 0
})

const donation = { amount: '25', donation_platform: 'GiveRiver', donation_platform_uid: 'gr-1' }

/** Every operation below /api/v2, with the body it needs, if any, and the status of its success. */
const operations: [method: Method, path: string, body: object | undefined, success: number][] = [
  ['GET', '/accounts/me', undefined, 200],
  ['GET', '/api_keys', undefined, 200],
  ['POST', '/api_keys', { api_key: { name: 'Mailer' } }, 201],
  ['POST', '/momt_reports', { date_from: '2026-02-01T00:00:00Z', date_to: '2026-02-28T00:00:00Z' }, 200],
  ['GET', '/momt_reports/REPORT', undefined, 200],
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
  ['PUT', '/lists/LIST', { list: { name: 'Renamed' } }, 200],
  ['DELETE', '/lists/LIST', undefined, 200],
  ['PUT', '/lists/LIST/keywords', { keyword_names: ['PIZZA', 'SALAD'] }, 200],
  ['PUT', '/lists/LIST/opt_in_settings', { opt_in_type: 'single' }, 200],
  ['GET', '/lists/LIST/webhooks', undefined, 200],
  ['POST', '/lists/LIST/webhooks', { webhook: { callback_url: 'https://hooks.cedar.example/' } }, 201],
  ['GET', '/lists/LIST/webhooks/HOOK', undefined, 200],
  ['PUT', '/lists/LIST/webhooks/HOOK', { webhook: { cleaned: true } }, 200],
  ['DELETE', '/lists/LIST/webhooks/HOOK', undefined, 200],
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
  ['POST', '/lists/LIST/flight_plans', { message: { content: 'Hello' } }, 202],
  ['POST', '/transactional_messages', { transactional_message: { number: phone, content: 'Hello' } }, 200],
]

/** Where a misspelt key would cost money, or plan for another message. */
const rejectsUnknownKeys = ['POST /rates', 'POST /lists/LIST/flight_plans']

const at = (path: string) =>
  path
    .replace('LIST', String(list.id))
    .replace('CODE', api.owner.shortCode.code)
    .replace('HOOK', String(webhook.id))
    .replace('REPORT', String(report.id))

/** The notation that PHP and Rails share. */
function formOf(body: object): string {
  const pairs = (value: unknown, name: string): [string, string][] => {
    if (typeof value !== 'object' || value === null) return [[name, String(value)]]
    return Object.entries(value).flatMap(([key, part]) => {
      return pairs(part, name === '' ? key : `${name}[${Array.isArray(value) ? '' : key}]`)
    })
  }
  return pairs(body, '')
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&')
}

/** The body with these keys added where its fields are: inside its envelope, if it has one. */
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
        !path.includes('{message_id}') &&
        !path.includes('{api_key_id}') &&
        !path.includes('{connection_id}') &&
        !path.includes('{rate_id}') &&
        !path.includes('{flight_plan_id}') &&
        !path.includes('{transactional_message_id}'),
    )
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.slice('/api/v2'.length)}`),
    )
  const tested = operations.map(([method, path]) =>
    `${method} ${path}`
      .replace('LIST', '{list_id}')
      .replace('CODE', '{shortcode}')
      .replace('HOOK', '{webhook_id}')
      .replace('REPORT', '{momt_report_id}')
      .replace(phone, '{phone_number}'),
  )
  expect(tested.sort()).toEqual(described.sort())
})

describe.each(operations)('%s %s', (method, path, body, success) => {
  const json = body === undefined ? undefined : JSON.stringify(body)

  test('accepts every content type and wrapping of the body', async () => {
    const labels: Record<string, string>[] = [
      { 'content-type': 'application/json' },
      { 'content-type': 'application/json; charset=utf-8' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'text/plain' },
      { 'content-type': 'json' },
      {},
    ]
    for (const headers of labels) expect((await fresh(headers, json)).status, JSON.stringify(headers)).toBe(success)
    if (json === undefined) return
    expect((await fresh({ 'content-type': 'application/json' }, JSON.stringify(json))).status).toBe(success)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await fresh(form, formOf(body ?? {}))).status).toBe(success)
  })

  if (body === undefined) {
    test.each(['', ' ', 'null', '[]', '{}', '{"page":1}'])('accepts a body of %j', async (payload) => {
      expect((await fresh({ 'content-type': 'application/json' }, payload)).status).toBe(success)
    })
  } else {
    test.each(['', 'null', '[]', '{}', '""'])('reports the missing fields of a body of %j', async (payload) => {
      const response = await fresh({ 'content-type': 'application/json' }, payload)
      expect(response.status).toBe(422)
      expect(response.body.details).toEqual(
        Object.fromEntries(Object.keys(body).map((key) => [key, ["can't be blank"]])),
      )
    })

    const allOf = (wrong: unknown) => JSON.stringify(Object.fromEntries(Object.keys(body).map((key) => [key, wrong])))
    test.each(['[1]', allOf(true), allOf([[]])])('rejects the types of %j', async (payload) => {
      const response = await fresh({ 'content-type': 'application/json' }, payload)
      expect(response).toMatchObject({ status: 422, body: { status: 'error', code: 'invalid' } })
      expect(response.body.error).toMatch(/^Validation failed: [\w ]+ must be an? \w+/)
    })

    const isStrict = rejectsUnknownKeys.includes(`${method} ${path}`)
    test(`${isStrict ? 'rejects' : 'ignores'} unknown keys`, async () => {
      const more = withKeys(body, { color: 'red', nested: { deep: [1] } })
      expect((await fresh({}, JSON.stringify(more))).status).toBe(isStrict ? 422 : success)
    })
  }

  test('responds 400 to malformed JSON and changes nothing', async () => {
    const response = await fresh({ 'content-type': 'application/json' }, '{"a":')
    expect(response).toMatchObject({ status: 400, body: { status: 'error', code: 'unreadable_request' } })
  })

  test('responds 413 to a body over a megabyte', async () => {
    const response = await fresh({}, `{"a":"${'x'.repeat(1_000_001)}"}`)
    expect(response).toMatchObject({ status: 413, body: { status: 'error', code: 'body_too_large' } })
  })

  test('is found with a trailing slash and an ampersand at the start of its query', async () => {
    const headers = { 'content-type': 'application/json' }
    expect((await call(method, `${at(path)}/?&page=1`, headers, json)).status).toBe(success)
  })

  test('responds 401 without a key', async () => {
    const response = readResponse(await api.app.inject({ method, url: `/api/v2${at(path)}`, payload: json ?? '' }))
    expect(response).toMatchObject({ status: 401, body: { error: 'API key authorization failure' } })
  })

  if (path.includes('LIST')) {
    test("responds 404 for another account's list", async () => {
      const authorization = basic(api.stranger.key)
      const response = await call(method, at(path), { authorization }, json)
      expect(response).toMatchObject({ status: 404, body: { status: 'error', error: 'List not found' } })
    })
  }

  /** The call, undone afterwards so that it can be made again. */
  async function fresh(headers: Record<string, string>, payload: string | undefined) {
    await api.db.exec('before', 'savepoint before')
    try {
      return await call(method, at(path), headers, payload)
    } finally {
      await api.db.exec('undo', 'rollback to savepoint before')
    }
  }
})

test('the account is also found at its path from before 2021, and no other resource is', async () => {
  const headers = { authorization: basic(api.owner.key) }
  const get = async (url: string) => (await api.app.inject({ method: 'GET', url, headers })).statusCode
  for (const url of ['/api/accounts/me', '/api/accounts/me/?&page=1', '/api//accounts/me'])
    expect(await get(url)).toBe(200)
  for (const url of ['/api/accounts/mean', '/api/lists', '/api/accounts']) expect(await get(url)).toBe(404)
})

describe('an unknown path or method', () => {
  test.each(['/nothing', '/lists/1/nothing', '/lists/1/subscribers/2/3', '//'])('%s', async (path) => {
    expect(await call('GET', path)).toMatchObject({ status: 404, body: { status: 'error', error: 'Path not found' } })
  })

  test.each<[Method, string, string]>([
    ['PATCH', '/lists/1', 'GET, HEAD, PUT, DELETE'],
    ['DELETE', '/lists/', 'GET, HEAD, POST'],
    ['POST', '/lists/1/subscribers/2065550143?x=1', 'GET, HEAD, PUT, DELETE'],
    ['PUT', '/accounts/me', 'GET, HEAD'],
  ])('%s %s', async (method, path, allow) => {
    const response = await call(method, path, {}, '{}')
    expect(response).toMatchObject({ status: 405, body: { status: 'error', error: 'Method not allowed' } })
    expect(String(response.headers.allow).split(', ').sort()).toEqual(allow.split(', ').sort())
  })

  test('a malformed path', async () => {
    expect(await call('GET', '/lists/%zz')).toMatchObject({
      status: 400,
      body: { status: 'error', request_id: expect.any(String) },
    })
  })
})

test.each([
  ['text/html', 406],
  ['application/xml, text/xml;q=0.5', 406],
  ['application/json;q=0', 406],
  ['text/html, */*;q=0.1', 200],
  ['application/*', 200],
  ['application/vnd.api+json', 200],
  ['', 200],
])('Accept: %s', async (accept, status) => {
  expect((await call('GET', '/accounts/me', { accept })).status).toBe(status)
})

test('the log has one line per request, without key, phone number or body', async () => {
  await call('GET', `/lists/${list.id}/subscribers/${phone}?x=${phone}`)
  await call('POST', `/lists/${list.id}/messages`, {}, JSON.stringify({ message: { content: 'secret words' } }))
  await call('POST', `/lists/${list.id}/subscribers`, {}, '{"subscriber":{"phone_number":"20655501"}}')
  const lines = log.map((line) => JSON.parse(line))
  expect(lines.filter(({ msg }) => msg === 'request completed')).toMatchObject([
    {
      method: 'GET',
      route: '/api/v2/lists/:list_id/subscribers/:phone_number',
      status: 200,
      account: api.owner.accountId,
    },
    { method: 'POST', route: '/api/v2/lists/:list_id/messages', status: 200 },
    { method: 'POST', route: '/api/v2/lists/:list_id/subscribers', status: 422 },
  ])
  for (const secret of [phone, '20655501', 'secret words', api.owner.key, basic(api.owner.key)]) {
    expect(log.join('')).not.toContain(secret)
  }
})

describe('when the database fails', () => {
  async function responseTo(error: Error) {
    const lines: string[] = []
    const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
    const fail = () => Promise.reject(error)
    const db: Db = { many: fail, maybeOne: fail, one: fail, exec: fail, tx: fail, withClient: fail }
    const app = await makeApp(makeRuntime({ db, log: logger as never }))
    const headers = { authorization: basic('carillon_key_x') }
    const response = readResponse(await app.inject({ url: `/api/v2/lists/1/subscribers/${phone}`, headers }))
    const ready = readResponse(await app.inject({ url: '/readyz' }))
    await app.close()
    return { response, ready, faults: lines.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50) }
  }

  test('by being unavailable: 503 with retry-after', async () => {
    const away = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' })
    const { response, ready } = await responseTo(away)
    expect(response).toMatchObject({ status: 503, body: { status: 'error', code: 'unavailable' } })
    expect(response.headers['retry-after']).toBe('1')
    expect(response.text).not.toContain('5432')
    expect(ready).toMatchObject({
      status: 503,
      body: { status: 'not_ready', mode: 'sandbox', checks: { database: false, worker: false, gateway: false } },
    })
  })

  test('in another way: 500, with the cause in one log line only', async () => {
    const { response, faults } = await responseTo(new Error('column "secret" does not exist'))
    expect(response).toMatchObject({ status: 500, body: { status: 'error', code: 'internal_error' } })
    expect(response.text).not.toContain('column')
    expect(faults).toMatchObject([{ msg: 'request failed', err: { message: 'column "secret" does not exist' } }])
    expect(faults[0].request_id ?? faults[0].reqId).toBe(response.body.request_id)
  })
})

test('the row that PostgreSQL quotes in an error is not logged', async () => {
  await api.db.exec('reject', `alter table subscribers add constraint nobody check (last_name <> 'Okafor')`)
  const response = await call(
    'PUT',
    `/lists/${list.id}/subscribers/${phone}`,
    {},
    '{"subscriber":{"last_name":"Okafor"}}',
  )
  expect(response).toMatchObject({ status: 500, body: { error: 'Internal server error' } })
  const line = log.map((text) => JSON.parse(text)).find(({ msg }) => msg === 'request failed')
  expect(line).toMatchObject({ level: 50, err: { code: '23514' }, route: expect.stringContaining(':phone_number') })
  for (const secret of ['Okafor', phone]) expect(log.join('')).not.toContain(secret)
})

describe('health', () => {
  const beat = (role: string, details: object, age: string) =>
    api.db.exec(
      `beat_${role}_${age.replaceAll(' ', '_')}`,
      `insert into heartbeats (role, instance_id, details, seen_at)
       values ('${role}', gen_random_uuid(), $1, clock_timestamp() - interval '${age}')`,
      [JSON.stringify(details)],
    )
  const ready = async () => readResponse(await api.app.inject({ url: '/readyz' }))

  test('/healthz responds ok', async () => {
    expect(readResponse(await api.app.inject({ url: '/healthz' }))).toMatchObject({
      status: 200,
      body: { status: 'ok' },
    })
  })

  test('/readyz is ready when a worker and a bound gateway sent a heartbeat in the last five seconds', async () => {
    await beat('worker', {}, '6 s')
    await beat('gateway', { bound: 0 }, '1 s')
    expect(await ready()).toMatchObject({
      status: 503,
      body: { checks: { database: true, worker: false, gateway: false } },
    })
    await beat('worker', {}, '4 s')
    await beat('gateway', { bound: 2 }, '6 s')
    expect(await ready()).toMatchObject({ status: 503, body: { checks: { worker: true, gateway: false } } })
    await beat('gateway', { bound: 1 }, '4 s')
    expect(await ready()).toMatchObject({
      status: 200,
      body: { status: 'ready', mode: 'sandbox', problems: [], checks: { database: true, worker: true, gateway: true } },
    })
  })

  test.each([
    [{ bound: 0, connections: 1, serving: true }, 'No gateway is bound to a carrier'],
    [{ bound: 0, connections: 0, serving: true }, 'No connection is configured: set CARILLON_SMPP_URL'],
    [{ bound: 0, connections: 0, serving: false }, 'Sending is paused'],
  ])('a gateway with %j reports its problem', async (details, words) => {
    expect((await ready()).body.problems).toEqual(['No worker is running.', 'No gateway is running.'])
    await beat('worker', {}, '1 s')
    await beat('gateway', details, '1 s')
    expect(await ready()).toMatchObject({ status: 503, body: { problems: [expect.stringContaining(words)] } })
  })
})

describe('the API reference', () => {
  test('names every operation and schema, and marks extensions of v2', async () => {
    const { body } = readResponse(await api.app.inject({ url: '/openapi.json' }))
    const document = body as {
      openapi: string
      paths: Record<string, Record<string, Record<string, unknown>>>
      components: object
    }
    expect(document.openapi).toBe('3.1.0')
    expect(document.paths['/readyz']?.get?.['x-extension']).toBe(true)
    expect(document.paths['/api/v2/lists']?.get).toMatchObject({ operationId: 'listLists' })
    expect(document.components).toMatchObject({ schemas: { List: {}, Subscriber: {}, Message: {}, ErrorResponse: {} } })
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    )
    expect(ids.every((id) => typeof id === 'string')).toBe(true)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('is a page that loads nothing from other hosts', async () => {
    const page = await api.app.inject({ url: '/docs/' })
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-type']).toContain('text/html')
    const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '')
    expect(sources.length).toBeGreaterThan(1)
    for (const source of sources) {
      expect(source).not.toMatch(/^(?:https?:)?\/\//)
      const url = new URL(source, 'http://localhost/docs/').pathname
      expect((await api.app.inject({ url })).statusCode, source).toBe(200)
    }
    const specification = await api.app.inject({ url: '/docs/json' })
    expect(specification.json()).toMatchObject({ openapi: '3.1.0', paths: { '/api/v2/lists': {} } })
  })
})

describe('over a socket', () => {
  let server: Awaited<ReturnType<typeof startApi>>
  beforeAll(async () => {
    server = await startApi(makeRuntime({ db: api.db, config: readEnv({ CARILLON_PORT: '0' }) }))
  })
  afterAll(() => server.stop())

  async function raw(request: string): Promise<string> {
    const socket = connect(server.port, '127.0.0.1')
    socket.write(request)
    return text(socket)
  }

  test('a GET may have a body', async () => {
    const body = '{"start_date":"20260230"}'
    const head = `GET /api/v2/lists/${list.id}/messages HTTP/1.1\r\nHost: example.org\r\nConnection: close`
    const auth = `Authorization: ${basic(api.owner.key)}\r\nContent-Length: ${body.length}`
    expect(await raw(`${head}\r\n${auth}\r\n\r\n${body}`)).toContain('Start date is not a date')
  })

  test('bytes that are not HTTP get the error envelope', async () => {
    const response = await raw('HELLO\r\n\r\n')
    expect(response).toMatch(/^HTTP\/1\.1 400 /)
    expect(JSON.parse(response.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      status: 'error',
      code: 'unreadable_request',
    })
  })
})
