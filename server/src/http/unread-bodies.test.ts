import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import { makeApp, startApi } from './app.ts'
import { timing } from './timing.ts'

const api = useApi()
let server: Awaited<ReturnType<typeof startApi>>

beforeAll(async () => {
  server = await startApi(makeRuntime({ db: api.db, config: readEnv({ CARILLON_PORT: '0' }) }))
})
afterAll(() => server.stop())

type Client = { socket: Socket; received: () => string; isClosed: () => boolean }

/** Opens a socket, sends the bytes and collects what comes back. */
async function send(bytes: string, port = server.port): Promise<Client> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  let isClosed = false
  socket.setEncoding('latin1')
  socket.on('data', (text) => (received += text))
  socket.on('error', () => {})
  socket.on('close', () => (isClosed = true))
  await once(socket, 'connect')
  socket.write(bytes)
  return { socket, received: () => received, isClosed: () => isClosed }
}

const statusesOf = (client: Client) =>
  [...client.received().matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

function head(request: string, ...headers: (string | undefined)[]): string {
  const lines = [`${request} HTTP/1.1`, 'Host: example.org', ...headers.filter((header) => header !== undefined)]
  return `${lines.join('\r\n')}\r\n\r\n`
}

const authorized = () => `Authorization: ${basic(api.owner.key)}`
const wrongKey = `Authorization: ${basic('carillon_key_that_does_not_exist')}`
const half = 'x'.repeat(50_000)

describe('a body without a key is not read', () => {
  test.each([
    ['GET /healthz', 200],
    ['GET /readyz', 503],
    ['GET /metrics', 401],
    ['GET /openapi.json', 200],
    ['GET /docs/', 200],
    ['GET /docs/static/swagger-ui.css', 200],
    ['POST /healthz', 405],
    ['POST /nowhere', 404],
    ['QUERY /nowhere', 404],
    ['GET /api/v2/nowhere', 404],
    ['POST /api/v2/lists', 401],
    ['GET /api/v2/lists', 401],
    ['GET /api/accounts/me', 401],
    ['PUT /api/v2/lists', 405],
    ['DELETE /api/v2/lists/1/subscribers/2065550143', 401],
    ['POST /api/v2/lists/1/imports', 401],
  ])('%s: the response comes before the rest of the body, and the next request is served', async (request, status) => {
    const type = 'Content-Type: application/json'
    for (const framing of ['Content-Length: 100000', 'Transfer-Encoding: chunked']) {
      const isChunked = framing.startsWith('T')
      const key = request.includes('/api/') ? wrongKey : undefined
      const chunk = isChunked ? `${half.length.toString(16)}\r\n${half}\r\n` : half
      const client = await send(head(request, framing, type, key) + chunk)
      await waitFor(() => statusesOf(client)[0] === status)
      client.socket.write(chunk + (isChunked ? '0\r\n\r\n' : '') + head('GET /healthz'))
      await waitFor(() => statusesOf(client).length === 2)
      expect(statusesOf(client)[1]).toBe(200)
      client.socket.destroy()
    }
  })

  test('the long bodies of at most 50 sockets are discarded at a time, and the other sockets are closed', async () => {
    const request = head('POST /nowhere', 'Content-Length: 900000') + 'x'.repeat(200_000)
    const clients = await Promise.all(Array.from({ length: 60 }, () => send(request)))
    await waitFor(() => clients.filter((client) => client.isClosed()).length === 10)
    const short = await send(head('POST /nowhere', 'Content-Length: 900000') + 'x'.repeat(1_000))
    await waitFor(() => statusesOf(short)[0] === 404)
    for (const { socket } of clients) socket.destroy()
    await waitFor(() => clients.every((client) => client.isClosed()))
    expect(short.isClosed()).toBe(false)
    short.socket.write('x'.repeat(899_000) + head('GET /healthz'))
    await waitFor(() => statusesOf(short).length === 2)
    short.socket.destroy()
  })

  test('a socket that does not send the rest is closed after the time limit', async () => {
    const app = await makeApp(makeRuntime({ db: api.db }), { ...timing, discardMs: 200 })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const client = await send(head('POST /nowhere', 'Content-Length: 900000') + half, Number(new URL(url).port))
    await waitFor(() => client.isClosed())
    expect(statusesOf(client)).toEqual([404])
    await app.close()
  })
})

describe('Expect: 100-continue', () => {
  const expecting = 'Expect: 100-continue'
  const csv = 'Content-Type: text/csv'

  test.each<[string, string, (string | undefined)[], number]>([
    ['no key', 'POST /api/v2/lists', ['Content-Length: 100'], 401],
    ['a wrong key', 'POST /api/v2/lists', ['Content-Length: 100', wrongKey], 401],
    ['a foreign page', 'POST /api/v2/lists', ['Content-Length: 100', 'Origin: https://evil.example'], 403],
    ['an unknown path', 'POST /nowhere', ['Content-Length: 100'], 404],
    ['a body that is too large', 'POST /api/v2/lists', ['Content-Length: 1000001', 'with key'], 413],
    ['an upload of an unsupported type', 'POST /api/v2/lists/1/imports', ['Content-Length: 100', 'with key'], 415],
    ['an upload to an unknown list', 'POST /api/v2/lists/1/imports', ['Content-Length: 100', 'with key', csv], 404],
    ['a public path', 'GET /healthz', ['Content-Length: 100'], 200],
  ])(
    '%s: the response comes at once, without a 100, and ends the connection',
    async (_name, request, headers, status) => {
      const known = headers.map((header) => (header === 'with key' ? authorized() : header))
      const client = await send(head(request, expecting, ...known))
      await waitFor(() => client.isClosed())
      expect(statusesOf(client)).toEqual([status])
      expect(client.received()).toMatch(/\r\nconnection: close\r\n/i)
    },
  )

  test('an accepted body is asked for, once', async () => {
    const body = JSON.stringify({ list: { name: 'Expected' } })
    const length = `Content-Length: ${body.length}`
    const client = await send(head('POST /api/v2/lists', expecting, length, authorized()))
    await waitFor(() => statusesOf(client).length === 1)
    client.socket.write(body.slice(0, 5))
    client.socket.write(body.slice(5) + head('GET /healthz'))
    await waitFor(() => statusesOf(client).length === 3)
    expect(statusesOf(client)).toEqual([100, 200, 200])
    client.socket.destroy()
  })

  test('so is a file that is uploaded', async () => {
    const { accountId, shortCode } = api.owner
    const list = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
    const file = 'phone_number\n2065550143\n'
    const path = `POST /api/v2/lists/${list.id}/imports`
    const client = await send(head(path, expecting, csv, `Content-Length: ${file.length}`, authorized()))
    await waitFor(() => statusesOf(client).length === 1)
    client.socket.write(file)
    await waitFor(() => statusesOf(client).length === 2)
    expect(statusesOf(client)).toEqual([100, 202])
    client.socket.destroy()
  })

  test('any other expectation is ignored', async () => {
    const client = await send(head('GET /healthz', 'Expect: the-impossible'))
    await waitFor(() => statusesOf(client).length === 1)
    expect(statusesOf(client)).toEqual([200])
    client.socket.destroy()
  })
})
