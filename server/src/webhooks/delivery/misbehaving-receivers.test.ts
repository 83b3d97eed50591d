import { mkdtempSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type Certificate, makeAuthority } from '../../../test/certificates.ts'
import { startNameServer } from '../../../test/name-server.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { startRawReceiver, startReceiver } from '../../../test/webhook-receiver.ts'
import { type LoggedAttempt, phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { makeResolver } from '../../lib/name-resolver.ts'

// Each receiver misbehaves in one way. Every attempt ends within its time limit, with the expected outcome, and a fast
// receiver gets all its events while each of the others has at most one request.

const world = useWebhooks()
const authority = makeAuthority('Ours')
const extraCaFile = join(mkdtempSync(join(tmpdir(), 'ca-')), 'ca.pem')
writeFileSync(extraCaFile, authority.cert)
// long enough for what a busy machine does before a response that is not slow
const timeoutMs = 4_000

type Expected = { status: number | null; error: string | null }

/** Delivers an event to each URL and 60 to a fast receiver, and returns the first attempt at each. */
async function attemptsAt(urls: Record<string, string>): Promise<Record<string, LoggedAttempt | undefined>> {
  const fast = await world.receiverOf()
  const webhooks: [string, number][] = []
  for (const [name, url] of Object.entries(urls)) {
    const list = await world.listWith(url)
    await world.optIn(list, phones(1))
    webhooks.push([name, list.webhookId])
  }
  await world.optIn(await world.listWith(fast.url), phones(60))
  const dispatcher = world.newDispatcher({ extraCaFile, timeoutMs })
  await dispatcher.round()
  await waitFor(() => fast.received.length === 60)
  await waitFor(async () => (await world.attemptsOf()).length === 60 + webhooks.length)
  const first = webhooks.map(async ([name, id]) => [name, (await world.attemptsOf(id))[0]] as const)
  return Object.fromEntries(await Promise.all(first))
}

const attempt = ({ status, error }: Expected): LoggedAttempt => {
  const isDelivered = status !== null && status >= 200 && status <= 299
  return { attempt: 1, outcome: isDelivered ? 'delivered' : 'failed', status, error }
}

/** Starts a receiver for each case, and expects its outcome. */
async function expectOutcomes<T>(cases: [string, T, Expected][], urlOf: (respond: T) => Promise<string>) {
  const urls: Record<string, string> = {}
  for (const [name, respond] of cases) urls[name] = await urlOf(respond)
  expect(await attemptsAt(urls)).toEqual(
    Object.fromEntries(cases.map(([name, , expected]) => [name, attempt(expected)])),
  )
}

/** Writes a beginning, and then a text again and again, slowly. */
const repeat = (socket: Socket, text: string, beginning = '') => {
  socket.write(beginning)
  const timer = setInterval(() => socket.write(text), 20)
  socket.on('close', () => clearInterval(timer))
}
/** Writes without end, as fast as the client reads. */
const flood = (socket: Socket | ServerResponse, text: string) => {
  const write = () => {
    while (!socket.destroyed && socket.write(text));
  }
  socket.on('drain', write)
  write()
}
const ok = 'HTTP/1.1 200 OK\r\n'

const timeout: Expected = { status: null, error: 'timeout' }
const unreachable: Expected = { status: null, error: 'unreachable' }
const closed: Expected = { status: null, error: 'closed' }
const reset: Expected = { status: null, error: 'reset' }
const invalidResponse: Expected = { status: null, error: 'invalid_response' }
const tooLarge: Expected = { status: null, error: 'too_large' }

const raw: [string, (socket: Socket, reset: () => void) => void, Expected][] = [
  ['no byte', () => {}, timeout],
  ['half a header', (socket) => void socket.write(`${ok}x-half: `), timeout],
  ['half a header, then a FIN', (socket) => void socket.end(`${ok}x-half: `), closed],
  ['a header byte by byte', (socket) => repeat(socket, 'x', `${ok}x-slow: `), timeout],
  ['a body byte by byte', (socket) => repeat(socket, 'x', `${ok}\r\n`), timeout],
  ['chunks of a byte', (socket) => repeat(socket, '1\r\na\r\n', `${ok}transfer-encoding: chunked\r\n\r\n`), timeout],
  ['interim responses', (socket) => repeat(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n'), timeout],
  ['a reset', (_socket, reset) => reset(), reset],
  ['a FIN', (socket) => void socket.end(), closed],
  [
    'half of a body, then a reset',
    (socket, reset) => void socket.write(`${ok}content-length: 9\r\n\r\nhalf`, reset),
    reset,
  ],
  ['half of a body, then a FIN', (socket) => void socket.end(`${ok}content-length: 9\r\n\r\nhalf`), closed],
  ['a banner of another protocol', (socket) => void socket.end('220 mail.example ESMTP\r\n'), invalidResponse],
  [
    'a response with two lengths',
    (socket) => void socket.end(`${ok}content-length: 1\r\ncontent-length: 2\r\n\r\nxx`),
    invalidResponse,
  ],
  [
    '100 headers of 8 KB',
    (socket) => void socket.write(`${ok}${`x: ${'y'.repeat(8_000)}\r\n`.repeat(100)}\r\n`),
    tooLarge,
  ],
  [
    'a change of the protocol',
    (socket) => void socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    closed,
  ],
  [
    'HTTP/1.0 without a length',
    (socket) => void socket.end('HTTP/1.0 200 OK\r\n\r\nfine'),
    { status: 200, error: null },
  ],
]

test.each(['http', 'https'] as const)('over %s, each misbehavior of a socket has its outcome', async (scheme) => {
  const tls = scheme === 'https' ? { tls: authority.issue('127.0.0.1') } : {}
  await expectOutcomes(raw, async (respond) => {
    const receiver = world.use(await startRawReceiver(respond, tls))
    return `${scheme}://${receiver.address}/`
  })
})

test('each response has its outcome, and nothing is decompressed', async () => {
  const small = gzipSync(Buffer.alloc(20_000_000))
  const large = gzipSync(Buffer.alloc(70_000_000))
  const gzip = { 'content-encoding': 'gzip' }
  const statuses = [204, 299, 300, 304, 400, 404, 408, 410, 429, 500, 503, 599]
  const cases: [string, (res: ServerResponse) => void, Expected][] = [
    ['a body without end', (res) => flood(res.writeHead(200), 'x'.repeat(10_000)), tooLarge],
    ['20 MB in 20 KB', (res) => void res.writeHead(200, gzip).end(small), { status: 200, error: null }],
    ['70 MB in more than 64 KB', (res) => void res.writeHead(200, gzip).end(large), tooLarge],
    ...statuses.map((status): [string, (res: ServerResponse) => void, Expected] => [
      String(status),
      (res) => void res.writeHead(status).end(),
      { status, error: null },
    ]),
  ]
  await expectOutcomes(cases, async (respond) => (await world.receiverOf(respond)).url)
})

test('a redirect is a failure, and its target is not called', async () => {
  const target = await world.receiverOf()
  const cases = [301, 302, 303, 307, 308].map((status): [string, number, Expected] => [
    String(status),
    status,
    { status, error: null },
  ])
  await expectOutcomes(cases, async (status) => {
    const receiver = await world.receiverOf((res) => void res.writeHead(status, { location: target.url }).end())
    return receiver.url
  })
  expect(target.connections).toBe(0)
})

test('a certificate must be valid, for the name, and of a public or an extra authority', async () => {
  const invalid: Expected = { status: null, error: 'invalid_certificate' }
  const cases: [string, () => Certificate, Expected][] = [
    ['of an extra authority', () => authority.issue('127.0.0.1'), { status: 204, error: null }],
    ['expired', () => authority.issue('127.0.0.1', Date.now() - 60_000), invalid],
    ['of another name', () => authority.issue('hooks.example'), invalid],
    ['of an unknown authority', () => makeAuthority('Theirs').issue('127.0.0.1'), invalid],
    ['of an authority with the same name', () => makeAuthority('Ours').issue('127.0.0.1'), invalid],
  ]
  await expectOutcomes(cases, async (issue) => world.use(await startReceiver(undefined, { tls: issue() })).url)
})

test('a server behind https that speaks no TLS, or says nothing, is a failure', async () => {
  const plain = (await world.receiverOf()).url.replace('http:', 'https:')
  const silent = `https://${world.use(await startRawReceiver(() => {})).address}/`
  expect(await attemptsAt({ plain, silent })).toEqual({ plain: attempt(unreachable), silent: attempt(timeout) })
})

test('names whose server does not respond fail as unresolved, and delay no other name', async () => {
  const names = world.use(await startNameServer((name) => (/^slow/.test(name) ? null : { 4: ['127.0.0.1'] })))
  const resolve = makeResolver({ servers: [names.address], hostsFile: '/nowhere/hosts', maxMs: 800 })
  const fast = await world.receiverOf()
  for (let n = 0; n < 30; n++) await world.optIn(await world.listWith(`http://slow${n}.example/`), phones(2))
  await world.optIn(await world.listWith(fast.url.replace('127.0.0.1', 'fast.example')), phones(60))
  await world.newDispatcher({ resolve }).round()
  await waitFor(() => fast.received.length === 60)
  // each of the others begins a look-up for its first attempt
  await waitFor(() => new Set(names.queries.map(({ name }) => name)).size === 31)
  const failed = () => world.attemptsOf().then((all) => all.filter(({ outcome }) => outcome === 'failed'))
  await waitFor(async () => (await failed()).length >= 30)
  expect(new Set((await failed()).map(({ error }) => error))).toEqual(new Set(['unresolved']))
})

describe('Retry-After', () => {
  const hour = 3_600
  // the schedule has 15 to 44 s, unless the endpoint wants more
  const cases: [status: number, header: string, min: number, max: number][] = [
    [429, '5', 15, 44],
    [429, '120', 120, 120],
    [503, '3600', hour, hour],
    [503, '3601', hour, hour],
    [429, '999999999', hour, hour],
    [503, 'Mon, 02 Mar 2026 10:02:00 GMT', 120, 120],
    [429, 'Mon, 02 Mar 2099 10:00:00 GMT', hour, hour],
    [503, 'Mon, 02 Mar 1999 10:00:00 GMT', 15, 44],
    [429, '99999999999999999999', 15, 44],
    [429, '-1', 15, 44],
    [429, 'tomorrow', 15, 44],
    [500, '120', 15, 44],
    [302, '120', 15, 44],
  ]

  test('of a 429 or 503 delays the retry, by an hour at most', async () => {
    for (const [status, header] of cases) {
      const receiver = await world.receiverOf((res) => void res.writeHead(status, { 'retry-after': header }).end())
      await world.optIn(await world.listWith(receiver.url), phones(1))
    }
    await world.newDispatcher().round()
    await waitFor(async () => (await world.attemptsOf()).length === cases.length)
    const rows = await world.db.many<{ due: Date }>(
      'read_due',
      'select due_at as due from deliveries order by endpoint_id',
    )
    const seconds = rows.map(({ due }) => (due.getTime() - start.getTime()) / 1_000)
    const outside = cases.filter(([, , min, max], n) => !((seconds[n] ?? 0) >= min && (seconds[n] ?? 0) <= max))
    expect(outside).toEqual([])
    expect(seconds).toHaveLength(cases.length)
  })

  test('stops all requests to the endpoint until then, also those of new events and by other workers', async () => {
    const receiver = await world.receiverOf((res, _event, n) =>
      n === 1 ? void res.writeHead(429, { 'retry-after': '600' }).end() : void res.writeHead(204).end(),
    )
    const list = await world.listWith(receiver.url)
    await world.optIn(list, phones(20))
    const [first, second] = [world.newDispatcher(), world.newDispatcher()]
    const leased = () => world.db.one<{ by: string | null }>('read_lease', 'select leased_by as by from endpoints')
    await first.round()
    await waitFor(async () => {
      await first.round()
      return (await leased()).by === null
    })
    world.clock.time = new Date(start.getTime() + 599_000)
    await world.optIn(list, phones(25).slice(20))
    for (const dispatcher of [first, second]) await dispatcher.round()
    expect(receiver.received).toHaveLength(1)
    world.clock.time = new Date(start.getTime() + 600_000)
    await waitFor(async () => {
      await second.round()
      return (await world.pending()) === 0
    })
    expect(receiver.received).toHaveLength(26)
  })
})
