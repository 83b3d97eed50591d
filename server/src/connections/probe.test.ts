import net from 'node:net'
import npm from 'smpp'
import { afterEach, describe, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { useSimulator } from '../../test/simulator.ts'
import { Secret } from '../config/secret.ts'
import { commandStatus, type StatusName } from '../smpp/pdu/command-status.ts'
import { type DeliverSm, deliverSm } from '../smpp/pdu/pdu.ts'
import { createServer, type ServerOptions } from '../smpp/server.ts'
import type { Connection } from './connection.ts'
import { probe } from './probe.ts'

const closers: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

function connectionTo(port: number, given: Partial<Connection> = {}): Connection {
  return {
    id: 3,
    name: 'Cedar SMS',
    enabled: true,
    servesAll: true,
    fromEnvironment: false,
    host: '127.0.0.1',
    port,
    tls: false,
    tlsCa: null,
    tlsServerName: null,
    tlsCertificate: null,
    tlsKey: null,
    systemId: 'cedar',
    password: new Secret('swordfish'),
    systemType: '',
    bindType: 'transceiver',
    slots: 1,
    window: 10,
    mps: null,
    carrierMps: {},
    charset: 'gsm7',
    longText: 'udh8',
    serviceType: '',
    sourceTon: null,
    sourceNpi: null,
    destTon: null,
    destNpi: null,
    validityS: null,
    responseDeadlineMs: null,
    receiptDeadlineS: null,
    enquireLinkS: 15,
    receiptIdForm: 'any',
    receipts: 'each_part',
    validityPeriod: 'relative',
    errorMap: {},
    querySm: false,
    queryAfterS: 1_800,
    version: 1,
    ...given,
  }
}

/** Starts an SMSC that responds to each bind with `status`, by default ESME_ROK; returns its port. */
async function startSmsc(given: Partial<ServerOptions> & { status?: StatusName } = {}): Promise<number> {
  const { status = 'ESME_ROK', ...options } = given
  const server = createServer({
    onBind: () => ({ command_status: commandStatus[status] }),
    onSession: () => {},
    ...options,
  })
  const port = await server.listen(0, '127.0.0.1')
  closers.push(() => {
    for (const session of server.sessions) session.destroy()
    return server.close()
  })
  return port
}

/** Starts a TCP server that is not an SMSC; returns its port. */
async function startListener(onSocket: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as net.AddressInfo).port
}

const stepsOf = ({ steps }: Awaited<ReturnType<typeof probe>>) =>
  steps.map(({ step, bind, ok }) => `${bind} ${step}${ok ? '' : ' failed'}`)

describe('a working connection', () => {
  test('passes each step', async () => {
    const port = await startSmsc()
    const result = await probe(connectionTo(port, { host: 'localhost' }))
    expect(result).toMatchObject({ ok: true, error: null })
    expect(stepsOf(result)).toEqual(
      ['resolve', 'connect', 'bind', 'enquire_link', 'unbind'].map((step) => `transceiver ${step}`),
    )
    for (const { ms } of result.steps) expect(ms).toBeGreaterThanOrEqual(0)
    // an IP address needs no DNS
    expect(stepsOf(await probe(connectionTo(port)))[0]).toBe('transceiver connect')
  })

  test('is tested with its bind type and credentials, and the binds of a pair one after the other', async () => {
    const received: string[] = []
    const port = await startSmsc({
      onBind: (_, { command, system_id, password, system_type }) => {
        received.push(`${command} ${system_id} ${password} ${system_type}`)
        return { command_status: commandStatus.ESME_ROK }
      },
    })
    const result = await probe(connectionTo(port, { bindType: 'pair', systemType: 'VMA' }))
    expect(result).toMatchObject({ ok: true })
    expect(stepsOf(result)).toHaveLength(8)
    expect(received).toEqual(['bind_transmitter cedar swordfish VMA', 'bind_receiver cedar swordfish VMA'])
  })

  test('passes with a server of the npm package smpp', async () => {
    const server = npm.createServer((session) => {
      session.on('error', () => {})
      for (const command of ['bind_transceiver', 'enquire_link', 'unbind']) {
        session.on(command, (pdu: npm.PDU) => void session.send(pdu.response()))
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => new Promise((resolve) => server.close(resolve)))
    const result = await probe(connectionTo((server.address() as net.AddressInfo).port))
    expect(result).toMatchObject({ ok: true, error: null })
  })

  const text = { source_addr: '12065550143', destination_addr: '88222', short_message: Buffer.from('YES') }

  test('temporarily rejects a text that arrives during the test', async () => {
    const { promise: responded, resolve } = Promise.withResolvers<number>()
    const port = await startSmsc({
      onSession: (session) => {
        void session.send<DeliverSm['command']>(deliverSm(text)).then((response) => resolve(response.command_status))
      },
    })
    await probe(connectionTo(port))
    expect(await responded).toBe(commandStatus.ESME_RX_T_APPN)
  })
})

describe('the test reports the cause if', () => {
  const errorOf = async (connection: Connection, options: Parameters<typeof probe>[1] = { timeoutMs: 400 }) => {
    const result = await probe(connection, options)
    expect(result.ok).toBe(false)
    // the usual limit is ten seconds
    expect(result.ms).toBeLessThan(9_000)
    return `${stepsOf(result).at(-1)?.split(' ').slice(1).join(' ')}: ${result.error}`
  }

  test('no service listens on the port', async () => {
    const port = await startSmsc()
    await closers.pop()?.()
    expect(await errorOf(connectionTo(port))).toBe(
      `connect failed: 127.0.0.1 refused the connection on port ${port}: no service listens there, or a firewall rejects the connection.`,
    )
  })

  test('the host name does not exist', async () => {
    // .invalid never exists (RFC 6761); the message differs on a machine without DNS
    expect(await errorOf(connectionTo(2775, { host: 'smsc.invalid' }), {})).toMatch(
      /^resolve failed: The (host name smsc\.invalid does not exist in DNS|DNS server (of this machine )?did not respond for)/,
    )
  })

  test.each<[StatusName, string]>([
    ['ESME_RINVPASWD', 'The SMSC rejected the password of cedar (ESME_RINVPASWD).'],
    ['ESME_RINVSYSID', 'The SMSC rejected the system_id cedar (ESME_RINVSYSID).'],
    ['ESME_RINVSYSTYP', 'The SMSC rejected the system_type (ESME_RINVSYSTYP).'],
    ['ESME_RBINDFAIL', 'The SMSC rejected the bind (ESME_RBINDFAIL): system_id, password or bind_type may be wrong'],
    ['ESME_RALYBND', 'The SMSC allows no more binds of cedar (ESME_RALYBND).'],
    ['ESME_RSYSERR', 'The SMSC rejected the bind: ESME_RSYSERR.'],
  ])('the SMSC responds with %s', async (status, message) => {
    expect(await errorOf(connectionTo(await startSmsc({ status })))).toContain(`bind failed: ${message}`)
  })

  test('no more binds are allowed and our gateways have open binds', async () => {
    const port = await startSmsc({ status: 'ESME_RALYBND' })
    expect(await errorOf(connectionTo(port), { ownBinds: 2 })).toContain(
      'Our gateways have 2 binds open, which may be the reason',
    )
  })

  test('the server accepts the connection and sends nothing', async () => {
    const port = await startListener(() => {})
    expect(await errorOf(connectionTo(port))).toBe(
      'bind failed: 127.0.0.1 accepted the connection, but did not respond to the bind within 1 s. Does the SMSC require TLS?',
    )
    expect(await errorOf(connectionTo(port, { tls: true }))).toContain(
      `tls failed: 127.0.0.1 accepted the connection on port ${port}, but did not complete the TLS handshake`,
    )
  })

  test('the server closes the connection', async () => {
    const port = await startListener((socket) => socket.end())
    expect(await errorOf(connectionTo(port))).toBe(
      'bind failed: 127.0.0.1 closed the connection instead of responding to the bind. Our IP address may not be allowed, or it requires TLS.',
    )
    expect(await errorOf(connectionTo(port, { tls: true }))).toContain(
      'tls failed: 127.0.0.1 closed the connection during the TLS handshake',
    )
  })

  test('the server is not an SMSC, without quoting its data', async () => {
    const port = await startListener((socket) => socket.end('HTTP/1.1 400 Bad Request: swordfish\r\n\r\n'))
    expect(await errorOf(connectionTo(port))).toBe(
      `bind failed: The service on port ${port} of 127.0.0.1 does not use SMPP.`,
    )
    expect(await errorOf(connectionTo(port, { tls: true }))).toBe(
      `tls failed: 127.0.0.1 does not use TLS on port ${port}.`,
    )
  })

  test('the SMSC accepts the bind and then sends nothing', async () => {
    const port = await startSmsc({ onSession: (session) => session.pause() })
    expect(await errorOf(connectionTo(port))).toBe(
      'enquire_link failed: The bind succeeded, but the SMSC did not respond to the enquire_link within 1 s.',
    )
  })
})

describe('with the simulator', () => {
  const simulator = useSimulator()

  test('the test passes, unless the password is wrong or all binds are in use', async () => {
    const probeWith = (password: string) =>
      probe(connectionTo(simulator.smppPort(), { systemId: 'carillon', password: new Secret(password) }))
    expect(await probeWith('swordfish')).toMatchObject({ ok: true, error: null })
    expect((await probeWith('sturgeon')).error).toBe('The SMSC rejected the password of carillon (ESME_RINVPASWD).')
    await simulator.bind()
    await simulator.control('PUT', '/settings', { max_binds: 1 })
    expect((await probeWith('swordfish')).error).toBe('The SMSC allows no more binds of carillon (ESME_RALYBND).')
  })
})

describe('with TLS', () => {
  const authority = makeAuthority()
  const server = authority.issue('smsc.cedar.example')
  const client = authority.issue('us')
  const trusting = { tls: true, tlsCa: authority.cert, tlsServerName: 'smsc.cedar.example' }
  const withCertificate = { tlsCertificate: client.cert, tlsKey: new Secret(client.key) }
  const errorOf = async (port: number, given: Partial<Connection>) => (await probe(connectionTo(port, given))).error

  test('the server certificate must be signed by a trusted authority and contain the host name', async () => {
    const port = await startSmsc({ tls: server })
    const result = await probe(connectionTo(port, trusting))
    expect(result).toMatchObject({ ok: true, error: null })
    expect(stepsOf(result)).toContain('transceiver tls')
    expect(await errorOf(port, { ...trusting, tlsCa: null })).toContain('is not signed by a trusted authority')
    expect(await errorOf(port, { ...trusting, tlsCa: makeAuthority().cert })).toContain('set tls_ca')
    expect(await errorOf(port, { ...trusting, tlsServerName: null })).toContain('is not for 127.0.0.1')
    expect(await errorOf(port, { ...trusting, tlsServerName: 'other.example' })).toContain('is not for other.example')
    expect(await errorOf(port, {})).toContain('or it requires TLS.')
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('the server requires a client certificate (%s)', async (version) => {
    const requires = { requestCert: true, rejectUnauthorized: true, minVersion: version, maxVersion: version }
    const port = await startSmsc({ tls: { ...server, ca: authority.cert, ...requires } })
    expect(await probe(connectionTo(port, { ...trusting, ...withCertificate }))).toMatchObject({ ok: true })
    expect(await errorOf(port, trusting)).toBe(
      '127.0.0.1 requires a client certificate: set tls_certificate and tls_key.',
    )
    const foreign = makeAuthority('Another authority').issue('us')
    const wrong = { tlsCertificate: foreign.cert, tlsKey: new Secret(foreign.key) }
    expect(await errorOf(port, { ...trusting, ...wrong })).toMatch(/reject(ed|s)? our client certificate/)
  })
})
