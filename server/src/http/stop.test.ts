import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiCaller, basic, makeCaller } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { makeApp } from './app.ts'
import { timing } from './timing.ts'

let database: TestDatabase
let rt: ReturnType<typeof makeRuntime>
let app: FastifyInstance
let caller: ApiCaller
let listId: number
const sockets: Socket[] = []

beforeEach(async () => {
  database = await freshDatabase()
  rt = makeRuntime(database)
  app = await makeApp(rt)
  await app.listen({ host: '127.0.0.1', port: 0 })
  caller = await makeCaller(database.db, app)
  listId = (await make.list(database.db, { accountId: caller.accountId, shortCodeId: caller.shortCode.id })).id
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await app.close()
  await database.close()
})

/** Opens a socket, sends a request with the caller's key and the beginning of its body, and collects what comes back. */
async function send(request: string, headers: string[] = [], body = '') {
  const socket = connect(Number(new URL(app.listeningOrigin).port), '127.0.0.1')
  sockets.push(socket)
  let received = ''
  socket.setEncoding('latin1')
  socket.on('data', (text) => (received += text))
  socket.on('error', () => {})
  await once(socket, 'connect')
  const lines = [`${request} HTTP/1.1`, 'Host: a', `Authorization: ${basic(caller.key)}`, ...headers]
  const bytes = `${lines.join('\r\n')}\r\n\r\n${body}`
  socket.write(bytes)
  return { repeat: () => socket.write(bytes), received: () => received, isClosed: () => socket.closed }
}

/** Returns the number of sockets on which a request with a key has arrived. */
function countKeyed(): number | undefined {
  const sockets = rt.metrics.snapshot().find(({ name }) => name === 'carillon_http_sockets')
  return sockets?.values.find(({ labels }) => labels.of === 'keyed')?.value
}

const envelope = /^HTTP\/1\.1 503 .*\r\nconnection: close\r\n.*"status":"error".*"code":"unavailable"/is

test('a stop ends unfinished bodies and uploads, and those that wait for a place, with a 503', async () => {
  const json = ['Content-Type: application/json', 'Content-Length: 100']
  const csv = ['Content-Type: text/csv', 'Content-Length: 1000000']
  const uploads = Array.from({ length: 6 }, () =>
    send(`POST /api/v2/lists/${listId}/imports`, csv, 'phone\n2062000101\n'),
  )
  const clients = await Promise.all([send('POST /api/v2/lists', json, '{"list":'), ...uploads])
  await waitFor(() => countKeyed() === clients.length)
  const startedAt = performance.now()
  await app.close()
  // each of these would have lasted for its own time limit
  expect(performance.now() - startedAt).toBeLessThan(timing.uploadWaitMs / 2)
  await waitFor(() => clients.every(({ isClosed }) => isClosed()))
  for (const { received } of clients) expect(received()).toMatch(envelope)
})

test('a stop responds to running requests, and ends their connections', async () => {
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  const { clients, closed } = await database.db.tx(async (tx) => {
    await tx.exec('lock', 'lock table lists in access exclusive mode')
    // five have a place, and one waits for one
    const clients = await Promise.all(Array.from({ length: 6 }, () => send(`GET /api/v2/lists/${listId}/webhooks`)))
    await waitFor(async () => (await database.db.exec('waiting', waiting)) === 5)
    const closed = app.close()
    await waitFor(() => clients.filter(({ isClosed }) => isClosed()).length === 1)
    for (const { repeat, isClosed } of clients) if (!isClosed()) repeat()
    return { clients, closed }
  })
  const startedAt = performance.now()
  await closed
  // Node would wait for another request on each connection
  expect(performance.now() - startedAt).toBeLessThan(timing.idleMs / 10)
  await waitFor(() => clients.every(({ isClosed }) => isClosed()))
  const texts = clients.map(({ received }) => received())
  expect(texts.filter((text) => envelope.test(text))).toHaveLength(1)
  const completed = texts.filter((text) => /^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/is.test(text))
  expect(completed).toHaveLength(5)
  expect(texts.join('')).not.toContain('"statusCode"')
})

test('a stop responds to the first request of a socket, whose key is still looked up', async () => {
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  const { client, closed } = await database.db.tx(async (tx) => {
    await tx.exec('lock', 'lock table api_keys in access exclusive mode')
    const client = await send('GET /api/v2/accounts/me')
    await waitFor(async () => (await database.db.exec('waiting', waiting)) > 0)
    const closed = app.close()
    await waitFor(() => app.stopping.aborted)
    return { client, closed }
  })
  await closed
  await waitFor(() => client.isClosed())
  expect(client.received()).toMatch(/^HTTP\/1\.1 (200|503) .*\r\nconnection: close\r\n/is)
})
