import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, basic, type Method, readResponse, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readEnv } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { makeLogger } from '../system/logger.ts'
import { makeApp, startApi } from './app.ts'

const log: string[] = []
const api = useApi({
  log: makeLogger({ role: 'api' }, 'trace', { write: (line: string) => void log.push(line) }) as never,
})

const call: ApiCaller['send'] = (...request) => api.owner.send(...request)

let list = { id: 0 }
const phone = '2065550143'

beforeEach(async () => {
  list = await make.list(api.db, {
    accountId: api.owner.accountId,
    shortCodeId: api.owner.shortCode.id,
    name: 'Pantry',
  })
  await make.subscriber(api.db, { listId: list.id, phone: Number(phone) })
  log.length = 0
})

test('serves the account at its path from before 2021, and no other resource', async () => {
  const headers = { authorization: basic(api.owner.key) }
  const get = async (url: string) => (await api.app.inject({ method: 'GET', url, headers })).statusCode
  for (const url of ['/api/accounts/me', '/api/accounts/me/?&page=1', '/api//accounts/me'])
    expect(await get(url)).toBe(200)
  for (const url of ['/api/accounts/mean', '/api/lists', '/api/accounts']) expect(await get(url)).toBe(404)
})

describe('the router', () => {
  test.each(['/nothing', '/lists/1/nothing', '/lists/1/subscribers/2/3', '//'])(
    'responds 404 to the path %s',
    async (path) => {
      expect(await call('GET', path)).toMatchObject({ status: 404, body: { status: 'error', error: 'Path not found' } })
    },
  )

  test.each<[Method, string, string]>([
    ['PATCH', '/lists', 'GET, HEAD, POST'],
    ['DELETE', '/lists/', 'GET, HEAD, POST'],
    ['POST', '/lists/1/subscribers/2065550143?x=1', 'GET, HEAD, PUT, PATCH, DELETE'],
    ['PUT', '/accounts/me', 'GET, HEAD'],
  ])('responds 405 to %s %s', async (method, path, allow) => {
    const response = await call(method, path, {}, '{}')
    expect(response).toMatchObject({ status: 405, body: { status: 'error', error: 'Method not allowed' } })
    expect(String(response.headers.allow).split(', ').sort()).toEqual(allow.split(', ').sort())
  })

  test('responds 400 to a malformed path', async () => {
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
])('responds to Accept: %s with %i', async (accept, status) => {
  expect((await call('GET', '/accounts/me', { accept })).status).toBe(status)
})

test('logs one line per request, without key, phone number or body', async () => {
  await call('GET', `/lists/${list.id}/subscribers/${phone}?x=${phone}`)
  await call('POST', `/lists/${list.id}/messages`, {}, JSON.stringify({ message: { content: 'secret content' } }))
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
  for (const secret of [phone, '20655501', 'secret content', api.owner.key, basic(api.owner.key)]) {
    expect(log.join('')).not.toContain(secret)
  }
})

test('logs a PATCH as PATCH', async () => {
  await call('PATCH', `/lists/${list.id}`, {}, '{"list":{"name":"Renamed"}}')
  const lines = log.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request completed')
  expect(lines).toMatchObject([{ method: 'PATCH', route: '/api/v2/lists/:list_id', status: 200 }])
})

test.each([
  ['{"per_page":3}', { page: 2, per_page: 3 }],
  ['{"per_page":"3","page":4}', { page: 4, per_page: 3 }],
  ['per_page=3', { page: 2, per_page: 3 }],
  ['{"start_date":"20260101"}', { page: 2, per_page: 5 }],
  ['[]', { page: 2, per_page: 5 }],
  ['null', { page: 2, per_page: 5 }],
  ['', { page: 2, per_page: 5 }],
])('reads the body %j of a GET before its query', async (payload, page) => {
  const response = await call('GET', `/lists/${list.id}/messages?page=2&per_page=5&start_date=20260201`, {}, payload)
  expect(response).toMatchObject({ status: 200, body: page })
})

test('a value in the body of a GET or DELETE replaces the value in the query', async () => {
  const path = `/lists/${list.id}/messages?start_date=20260230`
  expect(await call('GET', path)).toMatchObject({
    status: 422,
    body: { details: { start_date: [expect.any(String)] } },
  })
  expect(await call('GET', path, {}, '{"start_date":"20260201"}')).toMatchObject({ status: 200 })
  const tags = `/lists/${list.id}/subscribers/${phone}/tags`
  expect(await call('DELETE', `${tags}?tags[]=a`, {}, '{"tags":["b"]}')).toMatchObject({ body: { not_found: ['b'] } })
  expect(await call('DELETE', `${tags}?tags[]=a`)).toMatchObject({ body: { not_found: ['a'] } })
})

describe('a form', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' }

  test('may have arrays as PHP writes them, with indexes', async () => {
    const tags = 'subscriber[tags][0]=first&subscriber[tags][3]=second'
    expect(await call('PUT', `/lists/${list.id}/subscribers/${phone}`, form, tags)).toMatchObject({
      status: 200,
      body: { subscriber: { tags: ['first', 'second'] } },
    })
    const removed = await call('DELETE', `/lists/${list.id}/subscribers/${phone}/tags?tags[0]=first&tags[1]=x`)
    expect(removed).toMatchObject({ status: 200, body: { deleted: ['first'], not_found: ['x'] } })
  })

  test('may have arrays of objects as Rails and PHP write them', async () => {
    const steps = ['collected_data=zip_code', 'request_message=ZIP?', 'collected_data=yes', 'request_message=Reply YES']
    const rails = steps.map((step) => `opt_in_requests[][${step.replace('=', ']=')}`)
    const php = steps.map((step, n) => `opt_in_requests[${n >> 1}][${step.replace('=', ']=')}`)
    for (const pairs of [rails, php]) {
      const body = ['opt_in_type=double', ...pairs].join('&')
      expect(await call('PUT', `/lists/${list.id}/opt_in_settings`, form, body)).toMatchObject({
        status: 200,
        body: {
          opt_in_requests: [
            { collected_data: 'zip_code', request_message: 'ZIP?' },
            { collected_data: 'yes', request_message: 'Reply YES' },
          ],
        },
      })
    }
  })

  test('may have an empty field for a number that it does not set', async () => {
    const body = 'list[name]=Pantry&list[resend_block_hours]='
    expect(await call('PUT', `/lists/${list.id}`, form, body)).toMatchObject({
      status: 200,
      body: { list: { name: 'Pantry', resend_block_hours: 48 } },
    })
  })

  test('an object with indexes in JSON is no array', async () => {
    const body = '{"subscriber":{"tags":{"0":"a"}}}'
    expect((await call('PUT', `/lists/${list.id}/subscribers/${phone}`, {}, body)).status).toBe(422)
  })
})

describe('after a database error, the API', () => {
  async function responseTo(error: Error) {
    const lines: string[] = []
    const logger = makeLogger({ role: 'api' }, 'info', { write: (line: string) => void lines.push(line) })
    const fail = () => Promise.reject(error)
    const db: Db = { many: fail, maybeOne: fail, one: fail, exec: fail, tx: fail, withClient: fail }
    const app = await makeApp(makeRuntime({ db, log: logger as never }))
    const headers = { authorization: basic('carillon_key_x') }
    const response = readResponse(await app.inject({ url: `/api/v2/lists/1/subscribers/${phone}`, headers }))
    const ready = readResponse(await app.inject({ url: '/readyz' }))
    await app.close()
    return { response, ready, faults: lines.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50) }
  }

  test('responds 503 with retry-after if the database is unavailable', async () => {
    const unavailable = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' })
    const { response, ready } = await responseTo(unavailable)
    expect(response).toMatchObject({ status: 503, body: { status: 'error', code: 'unavailable' } })
    expect(response.headers['retry-after']).toBe('1')
    expect(response.text).not.toContain('5432')
    expect(ready).toMatchObject({
      status: 503,
      body: { status: 'not_ready', mode: 'sandbox', checks: { database: false, worker: false, gateway: false } },
    })
  })

  test('responds 503 with the time of an error that a rule throws, and logs no error, because nobody must act', async () => {
    const { response, faults } = await responseTo(errors.uploadsBusy(10))
    expect(response).toMatchObject({ status: 503, body: { code: 'uploads_busy' } })
    expect(response.headers['retry-after']).toBe('10')
    expect(faults).toEqual([])
  })

  test('responds 500 to any other error, and logs its cause in one line only', async () => {
    const { response, faults } = await responseTo(new Error('column "secret" does not exist'))
    expect(response).toMatchObject({ status: 500, body: { status: 'error', code: 'internal_error' } })
    expect(response.text).not.toContain('column')
    expect(faults).toMatchObject([{ msg: 'request failed', err: { message: 'column "secret" does not exist' } }])
    expect(faults[0].request_id ?? faults[0].reqId).toBe(response.body.request_id)
  })
})

test('does not log the row that PostgreSQL quotes in an error', async () => {
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

describe('the server', () => {
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

  test('accepts a GET with a body', async () => {
    const body = '{"start_date":"20260230"}'
    const head = `GET /api/v2/lists/${list.id}/messages HTTP/1.1\r\nHost: example.org\r\nConnection: close`
    const auth = `Authorization: ${basic(api.owner.key)}\r\nContent-Length: ${body.length}`
    expect(await raw(`${head}\r\n${auth}\r\n\r\n${body}`)).toContain('Start date is not a date')
  })

  test.each(['Content-Length: 20000000', 'Transfer-Encoding: chunked'])(
    'a body that is too large gets its 413 even if the client reads only after it has sent everything: %s',
    async (framing) => {
      const socket = connect(server.port, '127.0.0.1')
      const head = `POST /api/v2/lists HTTP/1.1\r\nHost: example.org\r\nAuthorization: ${basic(api.owner.key)}`
      socket.write(`${head}\r\n${framing}\r\n\r\n`)
      socket.pause()
      const isChunked = framing.endsWith('chunked')
      for (let sent = 0; sent < 20_000_000; sent += 100_000) {
        const bytes = 'x'.repeat(100_000)
        const chunk = isChunked ? `${bytes.length.toString(16)}\r\n${bytes}\r\n` : bytes
        await new Promise<void>((resolve, reject) =>
          socket.write(chunk, (error) => (error ? reject(error) : resolve())),
        )
      }
      socket.end(isChunked ? '0\r\n\r\n' : '')
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 413 [\s\S]*"code":"body_too_large"/)
    },
  )

  test('responds to bytes that are not HTTP with the error envelope', async () => {
    const response = await raw('HELLO\r\n\r\n')
    expect(response).toMatch(/^HTTP\/1\.1 400 /)
    expect(JSON.parse(response.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      status: 'error',
      code: 'unreadable_request',
    })
  })
})

test('a path with an escape that is not UTF-8 is a 4xx', async () => {
  for (const path of ['/lists/%E9', '/lists/1/subscribers/%ED%A0%80', '/lists/1/webhooks/1?x=%E9', '/%ff']) {
    const { status } = await api.owner.get(path)
    expect([400, 404], path).toContain(status)
  }
})
