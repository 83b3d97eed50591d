// Client, server and connector over real sockets on loopback.

import net from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { waitFor } from '../../test/wait-for.ts'
import { BindError, type ConnectOptions, connect } from './client.ts'
import { Connector } from './connector.ts'
import { type MonotonicClock, monotonicClock } from './deadline-timer.ts'
import { decodePdu, encodePdu } from './pdu/codec.ts'
import { type Bind, bind, blankPdu, type DeliverSm, deliverSm, type SubmitSm, submitSm } from './pdu/pdu.ts'
import { createServer, type ServerOptions, type SmppServer } from './server.ts'
import type { Session } from './session.ts'

const closers: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function listen(options: Partial<ServerOptions> = {}, port = 0) {
  const sessions: Session[] = []
  const server = createServer({
    onBind: () => ({ command_status: 0, system_id: 'smsc' }),
    onSession: (session) => {
      sessions.push(session)
      session.on('request', (request) => session.respond(request, { message_id: 'id-1' }))
    },
    ...options,
  })
  const listening = await server.listen(port, '127.0.0.1')
  closers.push(() => closeNow(server))
  return { server, port: listening, sessions }
}

/** Destroys every session without an unbind, as in a crash, and frees the port. */
async function closeNow(server: SmppServer) {
  for (const session of server.sessions) session.destroy('crash')
  await server.close()
}

const account = (port: number): ConnectOptions => ({ host: '127.0.0.1', port, system_id: 'esme', password: 'secret' })
const submit = () => submitSm({ destination_addr: '12065550100', short_message: Buffer.from('hi') })

describe('connect', () => {
  test('binds, submits, and unbinds in order', async () => {
    const binds: Bind[] = []
    const { server, port } = await listen({
      onBind: (_session, request) => {
        binds.push(request)
        return { command_status: 0 }
      },
    })
    const session = await connect({ ...account(port), system_type: 'CARILLON' })
    expect(session.state).toBe('bound_trx')
    expect(binds).toMatchObject([
      {
        command: 'bind_transceiver',
        system_id: 'esme',
        password: 'secret',
        system_type: 'CARILLON',
        interface_version: 0x34,
      },
    ])
    expect(await session.send(submit())).toMatchObject({ command_status: 0, message_id: 'id-1' })
    await session.unbind()
    await waitFor(() => server.sessions.size === 0)
  })

  test.each(['transmitter', 'receiver', 'transceiver'] as const)('binds as %s', async (kind) => {
    const { port } = await listen()
    const session = await connect({ ...account(port), bind: kind })
    expect(session.state).toBe({ transmitter: 'bound_tx', receiver: 'bound_rx', transceiver: 'bound_trx' }[kind])
    await session.unbind()
  })

  test('throws the status of a rejected bind and closes the socket', async () => {
    const { server, port } = await listen({ onBind: () => ({ command_status: 0x0e }) })
    const error = await connect(account(port)).catch((caught) => caught)
    expect(error).toBeInstanceOf(BindError)
    expect(error).toMatchObject({ command_status: 0x0e, message: expect.stringContaining('ESME_RINVPASWD') })
    await waitFor(() => server.sessions.size === 0)
  })

  test('closes the socket of a rejected bind even if the server does not', async () => {
    let isClosed = false
    const server = net.createServer((socket) => {
      socket.on('data', () =>
        socket.write(encodePdu({ ...blankPdu('bind_transceiver_resp'), command_status: 0x0d, sequence_number: 1 })),
      )
      socket.on('close', () => {
        isClosed = true
      })
      socket.on('error', () => {})
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => new Promise((resolve) => server.close(resolve)))
    await expect(connect(account((server.address() as net.AddressInfo).port))).rejects.toMatchObject({
      command_status: 0x0d,
    })
    await waitFor(() => isClosed)
  })

  test('throws ESME_RSYSERR after an exception in onBind', async () => {
    const { port } = await listen({ onBind: () => Promise.reject(new Error('database unavailable')) })
    await expect(connect(account(port))).rejects.toMatchObject({ command_status: 0x08 })
  })

  test('throws for a closed port, for a server that never responds, and after an abort', async () => {
    const silentServer = net.createServer((socket) => socket.resume())
    const port = await new Promise<number>((resolve) =>
      silentServer.listen(0, '127.0.0.1', () => resolve((silentServer.address() as net.AddressInfo).port)),
    )
    await expect(connect({ ...account(port), connectTimeoutMs: 50 })).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(connect({ ...account(port), signal: AbortSignal.abort('stopped') })).rejects.toBe('stopped')
    const abort = new AbortController()
    silentServer.once('connection', () => abort.abort('stopped'))
    await expect(connect({ ...account(port), signal: abort.signal })).rejects.toBe('stopped')
    await new Promise((resolve) => silentServer.close(resolve))
    await expect(connect(account(port))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('emits requests that arrive right after the bind response', async () => {
    const { port } = await listen({
      onSession: (session) => {
        for (let i = 0; i < 3; i++) {
          session.request(
            deliverSm({ source_addr: '1', destination_addr: '2', short_message: Buffer.from(`${i}`) }),
            () => {},
          )
        }
      },
    })
    const session = await connect(account(port))
    const received: string[] = []
    session.on('request', (request) => {
      received.push((request as DeliverSm).short_message.toString())
      session.respond(request)
    })
    await waitFor(() => received.length === 3)
    expect(received).toEqual(['0', '1', '2'])
    await session.unbind()
  })

  test('sends message_payloads of 64 KB with a full window', async () => {
    const sizes: (number | undefined)[] = []
    const { port } = await listen({
      onSession: (session) =>
        session.on('request', (request) => {
          sizes.push((request as SubmitSm).tlvs?.message_payload?.length)
          session.respond(request)
        }),
    })
    const session = await connect({ ...account(port), window: 100 })
    const message_payload = Buffer.alloc(65_000, 7)
    const responses = Array.from({ length: 100 }, () => session.send({ ...submit(), tlvs: { message_payload } }))
    await Promise.all(responses)
    expect(sizes).toEqual(Array(100).fill(65_000))
    await session.unbind()
  })
})

describe('createServer', () => {
  test('closes a socket that never binds', async () => {
    const { server, port } = await listen({ bindDeadlineMs: 30 })
    const socket = net.connect(port, '127.0.0.1')
    await new Promise((resolve) => socket.once('close', resolve))
    await waitFor(() => server.sessions.size === 0)
  })

  test('closes the socket after it rejected the bind', async () => {
    const { server, port } = await listen({ onBind: () => ({ command_status: 0x0d }) })
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write(encodePdu({ ...bind('bind_transceiver', { system_id: 'a', password: 'b' }), sequence_number: 1 }))
    const received = await socket.toArray()
    expect(decodePdu(Buffer.concat(received))).toMatchObject({ command: 'bind_transceiver_resp', command_status: 0x0d })
    await waitFor(() => server.sessions.size === 0)
    socket.destroy()
  })

  test('close() unbinds every session', async () => {
    const { server, port } = await listen()
    const reasons: string[] = []
    for (let i = 0; i < 3; i++) (await connect(account(port))).on('close', (reason) => reasons.push(reason))
    await server.close()
    await waitFor(() => reasons.length === 3)
    expect(reasons).toEqual(Array(3).fill('peer unbound'))
  })
})

describe('Connector', () => {
  function startConnector(options: ConnectOptions) {
    const connector = new Connector(options)
    const events: string[] = []
    const retries: number[] = []
    connector.on('bound', () => events.push('bound'))
    connector.on('lost', (reason) => events.push(`lost: ${reason}`))
    connector.on('failed', (error, retryMs) => {
      retries.push(retryMs)
      events.push(error instanceof BindError ? 'rejected' : 'failed')
    })
    closers.push(() => connector.stop())
    connector.start()
    return { connector, events, retries }
  }

  test('reconnects after a restart of the server', async () => {
    const first = await listen()
    const { connector, events, retries } = startConnector(account(first.port))
    await waitFor(() => connector.session?.bound)
    await closeNow(first.server)
    await waitFor(() => events.filter((event) => event === 'failed').length >= 2)
    await listen({}, first.port)
    await waitFor(() => events.at(-1) === 'bound')
    expect(events[0]).toBe('bound')
    expect(events[1]).toMatch(/^lost/)
    expect(await connector.session?.send(submit())).toMatchObject({ message_id: 'id-1' })
    for (const ms of retries) expect(ms).toBeGreaterThanOrEqual(50)
    expect(Math.max(...retries)).toBeLessThanOrEqual(5_000)
  })

  test('retries every second while the SMSC responds with ESME_RALYBND', async () => {
    const { port } = await listen({ onBind: () => ({ command_status: 0x05 }) })
    const { events, retries } = startConnector(account(port))
    await waitFor(() => events.length >= 2)
    expect(retries.slice(0, 2)).toEqual([1_000, 1_000])
  })

  test('backs off to minutes while the SMSC rejects the bind, and binds again when it does not', async () => {
    let command_status = 0x0e
    const { port } = await listen({ onBind: () => ({ command_status }) })
    // time passes twenty thousand times as fast for retries, but not for deadlines
    const waits: number[] = []
    const clock: MonotonicClock = {
      ...monotonicClock,
      setTimeout: (run, ms) => monotonicClock.setTimeout(run, waits.includes(ms) ? ms / 20_000 : ms),
    }
    const connector = new Connector({ ...account(port), clock })
    connector.on('failed', (_, ms) => waits.push(ms))
    closers.push(() => connector.stop())
    connector.start()
    await waitFor(() => waits.length >= 16)
    for (const ms of waits.slice(12)) expect(ms).toBeGreaterThanOrEqual(90_000)
    expect(Math.max(...waits)).toBeLessThanOrEqual(180_000)
    command_status = 0
    await waitFor(() => connector.session?.bound)
  })

  test('unbinds and does not reconnect after stop()', async () => {
    const { server, port } = await listen()
    const { connector, events } = startConnector(account(port))
    await waitFor(() => connector.session)
    await connector.stop()
    await waitFor(() => server.sessions.size === 0)
    expect(events).toEqual(['bound', 'lost: unbound'])
    expect(connector.session).toBeUndefined()
  })

  test('ends its retries on stop()', async () => {
    const { server, port } = await listen()
    await closeNow(server)
    const timers = new Set<unknown>()
    const clock: MonotonicClock = {
      ...monotonicClock,
      setTimeout: (run, ms) => {
        const timer = monotonicClock.setTimeout(() => {
          timers.delete(timer)
          run()
        }, ms)
        timers.add(timer)
        return timer
      },
      clearTimeout: (timer) => {
        timers.delete(timer)
        monotonicClock.clearTimeout(timer)
      },
    }
    const { connector, events } = startConnector({ ...account(port), clock })
    await waitFor(() => events.length >= 1)
    await connector.stop()
    expect(timers.size).toBe(0)
    const after = events.length
    await listen({}, port)
    await new Promise((resolve) => setImmediate(resolve))
    expect(events).toHaveLength(after)
  })
})
