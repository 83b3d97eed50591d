import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { loopbackRanges } from './address-ranges.ts'
import { type FetchError, type GuardedRequest, makeGuardedFetch } from './guarded-fetch.ts'
import type { Resolve } from './name-resolver.ts'

const servers: { close(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  servers.push({
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

type Handler = (req: IncomingMessage, res: ServerResponse) => void
const serve = async (handler: Handler) => `http://127.0.0.1:${await listening(createServer(handler))}`

const limits = { timeoutMs: 5_000, maxBytes: 1_000 }
const loopbackFetch = makeGuardedFetch({ allowed: loopbackRanges })
const publicFetch = makeGuardedFetch({ allowed: [] })

async function faultOf(
  fetch: typeof loopbackFetch,
  request: Partial<GuardedRequest> & { url: string },
): Promise<FetchError> {
  return fetch({ ...limits, ...request }).then(
    ({ status }) => {
      throw new Error(`HTTP status ${status}`)
    },
    (fault) => fault,
  )
}

test('a POST is sent unchanged, and the response is returned unchanged', async () => {
  let received: object = {}
  const url = await serve(async (req, res) => {
    const { 'x-key': key, 'accept-encoding': encoding } = req.headers
    received = { method: req.method, path: req.url, key, encoding, body: await text(req) }
    res.writeHead(418, { 'x-answer': 'yes' }).end('short and stout')
  })
  const response = await loopbackFetch({
    ...limits,
    url: `${url}/in?key=7f2a`,
    method: 'POST',
    headers: { 'x-key': 'secret' },
    body: '{"ä":1}',
  })
  const body = '{"ä":1}'
  expect(received).toEqual({ method: 'POST', path: '/in?key=7f2a', key: 'secret', encoding: 'identity', body })
  expect(response).toMatchObject({ status: 418, headers: { 'x-answer': 'yes' } })
  expect(response.body.toString()).toBe('short and stout')
})

describe('rejects', () => {
  test.each([
    ...['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0x7f000001', '0177.0.0.1', '017700000001', '127.0.0.1.'],
    ...['１２７.０.０.１', '127。0。0。1', '①②⑦.0.0.1', '%31%32%37.0.0.1', '8.8.8.8@127.0.0.1', 'u:p@127.0.0.1'],
    ...['localhost', 'LOCALHOST', '0.0.0.0', '0', '[::]', '[::1]', '[0:0:0:0:0:0:0:1]'],
    ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[::ffff:0:127.0.0.1]', '[64:ff9b::7f00:1]'],
    ...['[64:ff9b:1::7f00:1]', '[2002:7f00:1::]', '[2001:0:7f00:1::]', '[2a00::5efe:7f00:1]'],
  ])('the forbidden address %s', async (host) => {
    let called = false
    const url = await serve((_req, res) => {
      called = true
      res.end()
    })
    const fault = await faultOf(publicFetch, { url: `${url.replace('127.0.0.1', host)}/?secret` })
    expect(fault).toMatchObject({ name: 'FetchError', reason: 'forbidden_address' })
    expect(fault.message).not.toContain('secret')
    expect(called).toBe(false)
  })

  test.each(['fe80::1%eth0', '2a00::1%eth0', '::ffff:10.0.0.7', 'localhost', ''])(
    'a name that resolves to %j',
    async (address) => {
      const fetch = makeGuardedFetch({ allowed: ['10.1.0.0/16'], resolve: async () => [{ address, family: 6 }] })
      expect((await faultOf(fetch, { url: 'http://hooks.example/' })).reason).toBe('forbidden_address')
    },
  )

  test.each([0, 22, 25, 6667])('port %i', async (port) => {
    expect((await faultOf(loopbackFetch, { url: `http://127.0.0.1:${port}/` })).reason).toBe('forbidden_port')
  })

  test('a name with a private address among public ones', async () => {
    const resolve: Resolve = async () => [
      { address: '93.184.215.14', family: 4 },
      { address: '10.0.0.7', family: 4 },
    ]
    const fetch = makeGuardedFetch({ allowed: [], resolve })
    expect((await faultOf(fetch, { url: 'http://hooks.example/' })).reason).toBe('forbidden_address')
  })

  test('a redirect, which is returned and not followed', async () => {
    let called = 0
    const url = await serve((_req, res) => {
      called += 1
      res.writeHead(302, { location: 'http://169.254.169.254/latest/' }).end()
    })
    expect(await loopbackFetch({ ...limits, url })).toMatchObject({ status: 302 })
    expect(called).toBe(1)
  })

  test.each([
    'ftp://example.org/',
    'file:///etc/passwd',
    'example.org',
    'http://',
    '',
    'http://[fe80::1%25eth0]/',
    'http://127.0.0.256/',
  ])('the URL %j', async (url) => {
    expect((await faultOf(loopbackFetch, { url })).reason).toBe('bad_url')
  })
})

test('a name is resolved once, and the request is sent to that address', async () => {
  const url = new URL(await serve((req, res) => res.end(req.headers.host)))
  let lookups = 0
  const resolve: Resolve = async () => {
    lookups += 1
    // a malicious name server: a public address for the check, a private one for the connection
    return [{ address: lookups === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }]
  }
  const fetch = makeGuardedFetch({ allowed: ['127.0.0.1'], resolve })
  const response = await fetch({ ...limits, url: `http://hooks.example:${url.port}/` })
  expect(response.body.toString()).toBe(`hooks.example:${url.port}`)
  expect(lookups).toBe(1)
})

test('a request is sent to the next address of a name if the first one fails', async () => {
  const { port } = new URL(await serve((_req, res) => res.end('here')))
  // the first address has no listener
  const resolve: Resolve = async () => [
    { address: '127.0.0.2', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ]
  const fetch = makeGuardedFetch({ allowed: loopbackRanges, resolve })
  expect((await fetch({ ...limits, url: `http://hooks.example:${port}/` })).body.toString()).toBe('here')
})

test('each request has a connection of its own', async () => {
  const ports = new Set<number | undefined>()
  const url = await serve((req, res) => {
    ports.add(req.socket.remotePort)
    res.end()
  })
  for (let n = 0; n < 3; n++) await loopbackFetch({ ...limits, url })
  expect(ports.size).toBe(3)
})

describe('fails for', () => {
  test('an unknown name', async () => {
    const unknown: Resolve = () => Promise.reject(new Error('ENOTFOUND'))
    const nowhere: Resolve = async () => []
    for (const resolve of [unknown, nowhere]) {
      const fetch = makeGuardedFetch({ allowed: [], resolve })
      expect((await faultOf(fetch, { url: 'http://hooks.example/' })).reason).toBe('unresolved')
    }
  })

  test('a server without TLS behind an https address', async () => {
    const url = await serve((_req, res) => res.end())
    expect((await faultOf(loopbackFetch, { url: url.replace('http:', 'https:') })).reason).toBe('unreachable')
  })

  test('a port without a listener', async () => {
    const server = createTcpServer()
    const port = await listening(server)
    await new Promise((resolve) => server.close(resolve))
    expect((await faultOf(loopbackFetch, { url: `http://127.0.0.1:${port}/` })).reason).toBe('unreachable')
  })

  test.each([
    ['before any byte', ''],
    ['within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'],
    ['before the last chunk of the body', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ['within a chunk of the body', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf'],
    ['within the header', 'HTTP/1.1 200 OK\r\nx-half: '],
    ['after an interim response', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['after it changed the protocol', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ])('a server that closes the connection %s', async (_when, response) => {
    const port = await listening(createTcpServer((socket) => socket.once('data', () => socket.end(response))))
    expect((await faultOf(loopbackFetch, { url: `http://127.0.0.1:${port}/` })).reason).toBe('closed')
  })

  test('a response that is not HTTP', async () => {
    const banner = '220 mail.example ESMTP\r\n'
    const port = await listening(createTcpServer((socket) => socket.once('data', () => socket.end(banner))))
    expect((await faultOf(loopbackFetch, { url: `http://127.0.0.1:${port}/` })).reason).toBe('invalid_response')
  })

  test.each([
    ['does not respond', () => {}],
    ['sends only the start of a response', (_req, res) => void res.writeHead(200).write('a')],
    [
      'sends an endless response',
      (_req, res) => void res.writeHead(200).write('a', () => setInterval(() => res.write('a'), 5).unref()),
    ],
  ] satisfies [string, Handler][])('a server that %s', async (_how, handler) => {
    const url = await serve(handler)
    expect((await faultOf(loopbackFetch, { url, timeoutMs: 150, maxBytes: 1e6 })).reason).toBe('timeout')
  })

  const ok = 'HTTP/1.1 200 OK\r\n'
  test.each([
    ['sends half of a body without a length', `${ok}\r\nhalf`, undefined],
    ['sends half of a body with a length', `${ok}content-length: 100\r\n\r\nhalf`, undefined],
    ['sends half of a chunk', `${ok}transfer-encoding: chunked\r\n\r\n64\r\nhalf`, undefined],
    ['sends a body without a length, byte by byte', `${ok}\r\n`, 'x'],
    ['sends a header byte by byte', `${ok}x-slow: `, 'x'],
    ['sends a status line byte by byte', 'HTTP/1.1 200 O', 'x'],
    ['sends interim responses', '', 'HTTP/1.1 102 Processing\r\n\r\n'],
  ])('a server that %s, then waits', async (_how, start, repeated) => {
    const port = await listening(
      createTcpServer((socket) => {
        socket.on('error', () => {})
        socket.write(start)
        const timer = setInterval(() => repeated && socket.write(repeated), 10)
        socket.on('close', () => clearInterval(timer))
      }),
    )
    const url = `http://127.0.0.1:${port}/`
    expect((await faultOf(loopbackFetch, { url, timeoutMs: 150, maxBytes: 1e6 })).reason).toBe('timeout')
  })

  test.each([
    ['a header', `${ok}x-long: `, 'x'.repeat(1_000)],
    ['a header of many lines', ok, 'a: b\r\n'.repeat(100)],
    ['interim responses', '', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)],
    ['interim headers', 'HTTP/1.1 103 Early Hints\r\n', 'a: b\r\n'.repeat(100)],
    ['chunks of one byte', `${ok}transfer-encoding: chunked\r\n\r\n`, '1\r\na\r\n'.repeat(100)],
    ['the extension of a chunk', `${ok}transfer-encoding: chunked\r\n\r\n1;`, 'x'.repeat(1_000)],
    ['zeros before the size of a chunk', `${ok}transfer-encoding: chunked\r\n\r\n`, '0'.repeat(1_000)],
    ['trailers', `${ok}transfer-encoding: chunked\r\n\r\n0\r\n`, 'a: b\r\n'.repeat(100)],
  ])('%s without end', async (_what, start, repeated) => {
    let sent = 0
    const port = await listening(
      createTcpServer((socket) => {
        socket.on('error', () => {})
        const write = () => {
          while (!socket.destroyed && socket.write(repeated)) sent += repeated.length
        }
        socket.on('drain', write)
        socket.write(start)
        write()
      }),
    )
    const fault = await faultOf(loopbackFetch, { url: `http://127.0.0.1:${port}/`, maxBytes: 1e5 })
    expect(['too_large', 'closed']).toContain(fault.reason)
    expect(sent).toBeLessThan(10e6) // what the buffers of both sockets accept
  })

  test('a server that resets the connection within a body without a length', async () => {
    const server = createTcpServer((socket) => {
      socket.once('data', () => socket.write(`${ok}\r\nhalf`, () => setTimeout(() => socket.resetAndDestroy(), 50)))
    })
    const url = `http://127.0.0.1:${await listening(server)}/`
    expect((await faultOf(loopbackFetch, { url })).reason).toBe('reset')
  })

  test('a server that closes the connection while it gets a large body', async () => {
    const port = await listening(createTcpServer((socket) => void socket.destroy()))
    const post = { url: `http://127.0.0.1:${port}/`, method: 'POST', body: 'x'.repeat(2e6) } as const
    // usually a write fails, with EPIPE; a busy client may read the end before that
    for (let n = 0; n < 10; n++) expect(['reset', 'closed']).toContain((await faultOf(loopbackFetch, post)).reason)
  })

  test('a compressed body, which is returned as it is', async () => {
    const zipped = gzipSync('x'.repeat(1e6))
    const url = await serve((_req, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(zipped))
    const { body, headers } = await loopbackFetch({ ...limits, url, maxBytes: zipped.length })
    expect(body.equals(zipped)).toBe(true)
    expect(headers['content-encoding']).toBe('gzip')
  })

  test('a body without a length is complete when the server closes the connection', async () => {
    const port = await listening(createTcpServer((socket) => socket.once('data', () => socket.end(`${ok}\r\nwhole`))))
    expect((await loopbackFetch({ ...limits, url: `http://127.0.0.1:${port}/` })).body.toString()).toBe('whole')
  })

  test('a name server that does not respond', async () => {
    const fetch = makeGuardedFetch({ allowed: [], resolve: () => new Promise(() => {}) })
    expect((await faultOf(fetch, { url: 'http://hooks.example/', timeoutMs: 50 })).reason).toBe('timeout')
  })

  test('a body that is too large, with and without a content-length', async () => {
    const whole = await serve((_req, res) => res.end('x'.repeat(1_001)))
    expect((await faultOf(loopbackFetch, { url: whole })).reason).toBe('too_large')
    const closed = Promise.withResolvers<void>()
    const endless = await serve((_req, res) => {
      res.on('close', closed.resolve)
      const more = () => {
        while (!res.destroyed && res.write('x'.repeat(500)));
      }
      res.on('drain', more)
      more()
    })
    expect((await faultOf(loopbackFetch, { url: endless })).reason).toBe('too_large')
    await closed.promise
    const exact = await serve((_req, res) => res.end('x'.repeat(1_000)))
    expect((await loopbackFetch({ ...limits, url: exact })).body).toHaveLength(1_000)
  })
})
