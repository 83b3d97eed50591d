// TLS on both ends, over real sockets on loopback, with certificates of a private authority.

import net from 'node:net'
import type tls from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { waitFor } from '../../test/wait-for.ts'
import { type ConnectOptions, connect } from './client.ts'
import { submitSm } from './pdu/pdu.ts'
import { createServer, type ServerOptions } from './server.ts'

const closers: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const authority = makeAuthority()
const carrier = authority.issue('smpp.carrier.example')

async function listen(options: tls.TlsOptions = {}, others: Partial<ServerOptions> = {}) {
  const server = createServer({
    onBind: () => ({ command_status: 0, system_id: 'smsc' }),
    onSession: (session) => session.on('request', (request) => session.respond(request, { message_id: 'id-1' })),
    tls: { ...carrier, ...options },
    ...others,
  })
  const port = await server.listen(0, '127.0.0.1')
  closers.push(() => server.close())
  return { server, port }
}

const account = (port: number, options: tls.ConnectionOptions): ConnectOptions => ({
  host: '127.0.0.1',
  port,
  system_id: 'esme',
  password: 'secret',
  tls: options,
})
const trusted = { ca: authority.cert, servername: 'smpp.carrier.example' }
const submit = () => submitSm({ destination_addr: '12065550100', short_message: Buffer.from('hi') })

describe('the client', () => {
  test('binds to a server whose certificate is signed by the given authority for the given name', async () => {
    const { port } = await listen()
    const session = await connect(account(port, trusted))
    expect(await session.send(submit())).toMatchObject({ command_status: 0, message_id: 'id-1' })
    await session.unbind()
  })

  test.each([
    ['an unknown authority', { servername: 'smpp.carrier.example' }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['another name', { ...trusted, servername: 'smpp.other.example' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['the address instead of the name', { ca: authority.cert }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('does not bind to %s', async (_case, options, code) => {
    const { server, port } = await listen()
    await expect(connect(account(port, options))).rejects.toMatchObject({ code })
    await waitFor(() => server.sessions.size === 0)
  })

  test('accepts an IP address that the certificate names', async () => {
    const { port } = await listen(authority.issue('127.0.0.1'))
    const session = await connect(account(port, { ca: authority.cert }))
    await session.unbind()
  })

  test('throws if the server does not support TLS', async () => {
    const plain = createServer({ onBind: () => ({ command_status: 0 }), onSession: () => {} })
    const port = await plain.listen(0, '127.0.0.1')
    closers.push(() => plain.close())
    await expect(connect(account(port, trusted))).rejects.toThrow(/SSL|packet|socket|disconnected/i)
  })
})

describe('the server', () => {
  test('accepts only client certificates of its authority if it requires certificates', async () => {
    const { server, port } = await listen({ requestCert: true, ca: authority.cert })
    const session = await connect(account(port, { ...trusted, ...authority.issue('esme.example') }))
    expect(session.bound).toBe(true)
    await session.unbind()
    const stranger = makeAuthority('Another authority').issue('esme.example')
    await expect(connect(account(port, { ...trusted, ...stranger }))).rejects.toThrow()
    await expect(connect(account(port, trusted))).rejects.toThrow()
    await waitFor(() => server.sessions.size === 0)
  })

  test('closes a socket without a TLS handshake, and does not wait for it in close()', async () => {
    const { port } = await listen({}, { bindDeadlineMs: 50 })
    const silent = net.connect(port, '127.0.0.1')
    silent.on('error', () => {}).resume()
    await new Promise((resolve) => silent.once('close', resolve))
    const { server, port: other } = await listen()
    const second = net.connect(other, '127.0.0.1')
    second.on('error', () => {}).resume()
    await new Promise((resolve) => second.once('connect', resolve))
    await server.close()
    await waitFor(() => second.closed)
  })
})
