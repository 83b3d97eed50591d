import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import { makeApp } from './app.ts'
import { networkOf, Sockets } from './sockets.ts'
import { timing } from './timing.ts'

const api = useApi()

/** Opens sockets without a network from an address, of the account if one is given. */
function open(sockets: Sockets, count: number, remoteAddress: string, account?: number): Socket[] {
  return Array.from({ length: count }, () => {
    const socket = Object.assign(new EventEmitter(), { remoteAddress, destroyed: false, destroy }) as unknown as Socket
    sockets.open(socket)
    if (account !== undefined) sockets.setAccount(socket, account)
    return socket
  })
}
function destroy(this: { destroyed: boolean; emit(name: string): void }) {
  if (this.destroyed) return
  this.destroyed = true
  this.emit('close')
}

describe('of too many sockets, one is closed', () => {
  const isProxy = (address: string) => address === '10.0.0.1'
  const make = (max: number) => new Sockets({ max, bufferBytes: 1_000, isProxy, responseGraceMs: 1_000 })

  const opened = (sockets: Socket[]) => sockets.map((socket) => !socket.destroyed)

  test('of strangers: the oldest of the address with the most', () => {
    const sockets = make(10)
    const [one, many] = [open(sockets, 1, '192.0.2.1'), open(sockets, 4, '192.0.2.2')]
    const more = open(sockets, 2, '192.0.2.2')
    expect(opened([...one, ...many, ...more])).toEqual([true, false, false, true, true, true, true])
    const last = open(sockets, 1, '192.0.2.3')
    expect(opened([...one, ...many, ...more, ...last])).toEqual([true, false, false, false, true, true, true, true])
    expect(sockets.counts()).toEqual({ strangers: 5, keyed: 0, proxies: 0, closed: 3 })
  })

  test('strangers never displace a caller with a key', () => {
    const sockets = make(10)
    const callers = open(sockets, 5, '192.0.2.1', 7)
    open(sockets, 50, '192.0.2.1')
    expect(opened(callers)).toEqual([true, true, true, true, true])
    expect(sockets.counts()).toMatchObject({ strangers: 5, keyed: 5 })
  })

  test('of callers: the longest unused of the account with the most, which keeps no stranger out', () => {
    const sockets = make(10)
    const few = open(sockets, 2, '192.0.2.1', 7)
    const many = open(sockets, 8, '192.0.2.1', 8)
    sockets.setAccount(many[0] as Socket, 8)
    const stranger = open(sockets, 1, '192.0.2.2')
    expect(opened([...few, ...many, ...stranger])).toEqual([true, true, true, false, ...Array(7).fill(true)])
  })

  test('the sockets of a proxy are not those of one client, but have a limit, too', () => {
    const sockets = make(10)
    const proxied = open(sockets, 9, '10.0.0.1', 7)
    const [direct] = open(sockets, 1, '192.0.2.1', 8)
    expect(opened(proxied)).toEqual(Array(9).fill(true))
    expect(sockets.counts()).toEqual({ strangers: 0, keyed: 1, proxies: 9, closed: 0 })
    const [next] = open(sockets, 1, '10.0.0.1')
    expect([direct?.destroyed, next?.destroyed]).toEqual([true, false])
    const [beyond] = open(sockets, 1, '10.0.0.1')
    expect(beyond?.destroyed).toBe(true)
    expect(sockets.counts()).toMatchObject({ proxies: 10 })
  })

  test('an IPv6 address counts as its network of 64 bits', () => {
    expect(networkOf('2001:db8:0:7:aa:bb:cc:dd')).toBe('2001:db8:0:7')
    expect(networkOf('2001:db8::1')).toBe('2001:db8:0:0')
    expect(networkOf('2001:db8:1:2:3::1')).toBe('2001:db8:1:2')
    expect(networkOf('2001:db8:1:2::')).toBe('2001:db8:1:2')
    expect(networkOf('::1')).toBe('0:0:0:0')
    expect(networkOf('fe80::1:2:3:4:5')).toBe('fe80:0:0:1')
    expect(networkOf('192.0.2.1')).toBe('192.0.2.1')
    expect(networkOf('::ffff:192.0.2.1')).toBe('::ffff:192.0.2.1')
  })
})

test('an account has at most half of the memory, until its responses are sent or its sockets closed', () => {
  const sockets = new Sockets({ max: 10, bufferBytes: 1_000, isProxy: () => false, responseGraceMs: 20 })
  const [first, second] = open(sockets, 2, '192.0.2.1', 7) as [Socket, Socket]
  const [other] = open(sockets, 1, '192.0.2.1', 8) as [Socket]
  const response = new EventEmitter() as ServerResponse
  sockets.receive({ socket: first } as IncomingMessage, response, () => {})
  expect(sockets.reserve(first, 7, 300)).toBe(true)
  expect(sockets.reserve(second, 7, 200)).toBe(true)
  expect(sockets.reserve(second, 7, 1)).toBe(false)
  expect(sockets.reserve(other, 8, 250)).toBe(true)
  second.destroy()
  expect(sockets.reserve(first, 7, 75)).toBe(true)
  expect(sockets.reserve(first, 7, 1)).toBe(false)
  response.emit('close')
  expect(sockets.reserve(first, 7, 375)).toBe(true)
})

test('a socket whose client does not read its responses in time is closed', async () => {
  const sockets = new Sockets({ max: 10, bufferBytes: 1_000, isProxy: () => false, responseGraceMs: 20 })
  const [unread, large, read] = open(sockets, 3, '192.0.2.1', 7) as [Socket, Socket, Socket]
  const respond = (socket: Socket, bytes: number) => {
    const response = new EventEmitter() as ServerResponse
    sockets.receive({ socket } as IncomingMessage, response, () => {})
    sockets.setResponse(socket, bytes)
    return response
  }
  respond(unread, 1_000)
  respond(large, 10_000_000)
  const finished = respond(read, 1_000)
  sockets.closeUnread()
  expect([unread, large, read].map((socket) => socket.destroyed)).toEqual([false, false, false])
  finished.emit('close')
  await waitFor(() => {
    sockets.closeUnread()
    return unread.destroyed
  })
  expect([large, read].map((socket) => socket.destroyed)).toEqual([false, false])
})

test('a client may take a second for each 10 KB of a response, in addition to the grace', () => {
  const now = vi.spyOn(performance, 'now').mockReturnValue(0)
  onTestFinished(() => now.mockRestore())
  const sockets = new Sockets({ max: 10, bufferBytes: 1_000, isProxy: () => false, responseGraceMs: 30_000 })
  const [socket] = open(sockets, 1, '192.0.2.1', 7) as [Socket]
  sockets.receive({ socket } as IncomingMessage, new EventEmitter() as ServerResponse, () => {})
  sockets.setResponse(socket, 1_000_000)
  for (const [ms, isClosed] of [
    [130_000, false],
    [130_001, true],
  ] as const) {
    now.mockReturnValue(ms)
    sockets.closeUnread()
    expect(socket.destroyed).toBe(isClosed)
  }
})

test('when the server stops, a client that does not read its responses gets a short time only', async () => {
  const sockets = new Sockets({ max: 10, bufferBytes: 1_000, isProxy: () => false, responseGraceMs: 60_000 })
  const [idle, started, running] = open(sockets, 3, '192.0.2.1', 7) as [Socket, Socket, Socket]
  for (const socket of [started, running]) {
    sockets.receive({ socket } as IncomingMessage, new EventEmitter() as ServerResponse, () => {})
  }
  sockets.setResponse(started, 10_000_000)
  sockets.stop(20)
  expect([idle, started, running].map((socket) => socket.destroyed)).toEqual([true, false, false])
  sockets.setResponse(running, 10_000_000)
  await waitFor(() => {
    sockets.closeUnread()
    return started.destroyed && running.destroyed
  })
})

test('when the server stops, a stranger whose key is looked up gets its response, and a slow one a short time only', async () => {
  const sockets = new Sockets({ max: 10, bufferBytes: 1_000, isProxy: () => false, responseGraceMs: 60_000 })
  const [idle, known, unknown, slow] = open(sockets, 4, '192.0.2.1') as [Socket, Socket, Socket, Socket]
  const [, ofKnown, ofUnknown] = [slow, known, unknown].map((socket) => {
    const response = new EventEmitter() as ServerResponse
    sockets.receive({ socket } as IncomingMessage, response, () => {})
    return response
  })
  for (const socket of [known, unknown]) Object.assign(socket, { destroySoon: socket.destroy })
  sockets.stop(20)
  expect([idle, known, unknown, slow].map((socket) => socket.destroyed)).toEqual([true, false, false, false])
  sockets.setAccount(known, 7)
  ofUnknown?.emit('close')
  expect(unknown.destroyed).toBe(true)
  await waitFor(() => {
    sockets.closeUnread()
    return slow.destroyed
  })
  // a request of a caller may still be running
  expect(known.destroyed).toBe(false)
  ofKnown?.emit('close')
  expect(known.destroyed).toBe(true)
})

describe('the server', () => {
  let app: Awaited<ReturnType<typeof makeApp>> | undefined
  const clients: Socket[] = []
  afterEach(async () => {
    for (const socket of clients.splice(0)) socket.destroy()
    await app?.close()
  })

  async function listen(env: Record<string, string> = {}, durations = timing): Promise<number> {
    app = await makeApp(makeRuntime({ db: api.db, config: readEnv({ CARILLON_PORT: '0', ...env }) }), durations)
    return Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
  }

  async function client(port: number, bytes = '') {
    const socket = connect(port, '127.0.0.1')
    clients.push(socket)
    let received = ''
    socket.on('error', () => {})
    socket.setEncoding('latin1')
    await once(socket, 'connect')
    socket.write(bytes)
    return { socket, received: () => received, read: () => socket.on('data', (text) => (received += text)) }
  }

  const getAccount = () =>
    `GET /api/v2/accounts/me HTTP/1.1\r\nHost: a\r\nAuthorization: ${basic(api.owner.key)}\r\n\r\n`

  test('serves a caller while strangers of the same address have all sockets that they can have', async () => {
    const port = await listen({ CARILLON_MAX_SOCKETS: '100' })
    const caller = await client(port, getAccount())
    caller.read()
    await waitFor(() => caller.received().includes('200 OK'))
    await Promise.all(Array.from({ length: 80 }, () => client(port, 'GET / HTTP/1.1\r\nX-')))
    const newcomer = await client(port, getAccount())
    newcomer.read()
    await waitFor(() => newcomer.received().includes('200 OK'))
    caller.socket.write(getAccount())
    await waitFor(() => caller.received().match(/200 OK/g)?.length === 2)
    const connections = await new Promise((resolve) => app?.server.getConnections((_error, count) => resolve(count)))
    expect(connections).toBeLessThanOrEqual(52)
  })

  test('closes a socket with more than ten requests at a time', async () => {
    const port = await listen()
    for (const [count, expected] of [
      [10, 10],
      [11, 0],
    ] as const) {
      const piped = await client(port, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(count))
      piped.read()
      await waitFor(() =>
        expected === 0 ? piped.socket.closed : piped.received().match(/200 OK/g)?.length === expected,
      )
      expect(piped.received().match(/200 OK/g)?.length ?? 0).toBe(expected)
    }
  })

  test('rejects the bodies of an account beyond its share, and accepts those of others', async () => {
    const port = await listen({ CARILLON_BUFFER_MB: '4' })
    const post = (key: string, length: number) =>
      `POST /api/v2/lists HTTP/1.1\r\nHost: a\r\nAuthorization: ${basic(key)}\r\nContent-Length: ${length}\r\n\r\n`
    const bytes = 'x'.repeat(900_000)
    const hostile = await Promise.all(
      Array.from({ length: 4 }, () => client(port, post(api.owner.key, 950_000) + bytes)),
    )
    for (const { read } of hostile) read()
    await waitFor(() => hostile.filter(({ received }) => received().includes('too_many_bytes_at_once')).length === 2)
    const other = await client(port, post(api.stranger.key, 900_000) + bytes)
    other.read()
    await waitFor(() => /HTTP\/1\.1 4\d\d/.test(other.received()))
    expect(other.received()).toMatch(/^HTTP\/1\.1 4(?:00|22) /)
    // sockets that close release their bytes
    for (const { socket } of hostile) socket.destroy()
    await waitFor(async () => {
      const again = await client(port, post(api.owner.key, 900_000) + bytes)
      again.read()
      await waitFor(() => /HTTP\/1\.1 4\d\d/.test(again.received()))
      return /^HTTP\/1\.1 4(?:00|22) /.test(again.received())
    })
  })

  test('closes idle sockets and those of strangers when it stops', async () => {
    const port = await listen()
    await client(port, 'GET /healthz HTTP/1.1\r\nX-')
    const caller = await client(port, getAccount())
    caller.read()
    await waitFor(() => caller.received().includes('200 OK'))
    const startedAt = performance.now()
    await app?.close()
    expect(performance.now() - startedAt).toBeLessThan(timing.headersMs / 2)
  })
})
