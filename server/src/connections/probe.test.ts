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
    errorMap: {},
    querySm: false,
    queryAfterS: 1_800,
    version: 1,
    ...given,
  }
}

/** An SMSC that lets everybody in, or answers each bind as told. */
async function startSmsc(given: Partial<ServerOptions> & { answer?: StatusName } = {}): Promise<number> {
  const { answer = 'ESME_ROK', ...options } = given
  const server = createServer({
    onBind: () => ({ command_status: commandStatus[answer] }),
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

/** Something that listens and is no SMSC. */
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

describe('a connection that works', () => {
  test('is bound, asked and unbound, step by step', async () => {
    const port = await startSmsc()
    const result = await probe(connectionTo(port, { host: 'localhost' }))
    expect(result).toMatchObject({ ok: true, why: null })
    expect(stepsOf(result)).toEqual(
      ['resolve', 'connect', 'bind', 'enquire_link', 'unbind'].map((step) => `transceiver ${step}`),
    )
    for (const { ms } of result.steps) expect(ms).toBeGreaterThanOrEqual(0)
    // an address needs no DNS
    expect(stepsOf(await probe(connectionTo(port)))[0]).toBe('transceiver connect')
  })

  test('is tried as what it binds as, a pair one after the other, with its own credentials', async () => {
    const seen: string[] = []
    const port = await startSmsc({
      onBind: (_, { command, system_id, password, system_type }) => {
        seen.push(`${command} ${system_id} ${password} ${system_type}`)
        return { command_status: commandStatus.ESME_ROK }
      },
    })
    const result = await probe(connectionTo(port, { bindType: 'pair', systemType: 'VMA' }))
    expect(result).toMatchObject({ ok: true })
    expect(stepsOf(result)).toHaveLength(8)
    expect(seen).toEqual(['bind_transmitter cedar swordfish VMA', 'bind_receiver cedar swordfish VMA'])
  })

  test('by npm smpp', async () => {
    const server = npm.createServer((session) => {
      session.on('error', () => {})
      for (const command of ['bind_transceiver', 'enquire_link', 'unbind']) {
        session.on(command, (pdu: npm.PDU) => void session.send(pdu.response()))
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => new Promise((resolve) => server.close(resolve)))
    const result = await probe(connectionTo((server.address() as net.AddressInfo).port))
    expect(result).toMatchObject({ ok: true, why: null })
  })

  const text = { source_addr: '12065550143', destination_addr: '88222', short_message: Buffer.from('YES') }

  test('a text that comes meanwhile is put off, not taken', async () => {
    const { promise: answered, resolve } = Promise.withResolvers<number>()
    const port = await startSmsc({
      onSession: (session) => {
        void session.send<DeliverSm['command']>(deliverSm(text)).then((response) => resolve(response.command_status))
      },
    })
    await probe(connectionTo(port))
    expect(await answered).toBe(commandStatus.ESME_RX_T_APPN)
  })
})

describe('says why not', () => {
  const why = async (connection: Connection, options: Parameters<typeof probe>[1] = { timeoutMs: 400 }) => {
    const result = await probe(connection, options)
    expect(result.ok).toBe(false)
    // the usual limit is ten seconds
    expect(result.ms).toBeLessThan(9_000)
    return `${stepsOf(result).at(-1)?.split(' ').slice(1).join(' ')}: ${result.why}`
  }

  test('nobody listens', async () => {
    const port = await startSmsc()
    await closers.pop()?.()
    expect(await why(connectionTo(port))).toBe(
      `connect failed: Nothing listens on port ${port} of 127.0.0.1, or a firewall refuses us.`,
    )
  })

  test('a name that there is not', async () => {
    // .invalid is never there (RFC 6761); without a DNS to ask, that is what is said
    expect(await why(connectionTo(2775, { host: 'smsc.invalid' }), {})).toMatch(
      /^resolve failed: The (name smsc\.invalid is not known to the DNS|DNS (of this machine gives no|did not) answer for)/,
    )
  })

  test.each<[StatusName, string]>([
    ['ESME_RINVPASWD', 'The SMSC says that the password of cedar is wrong (ESME_RINVPASWD).'],
    ['ESME_RINVSYSID', 'The SMSC does not know the system_id cedar (ESME_RINVSYSID).'],
    ['ESME_RINVSYSTYP', 'The SMSC refuses the system_type (ESME_RINVSYSTYP).'],
    ['ESME_RBINDFAIL', 'The SMSC refuses the bind (ESME_RBINDFAIL): system_id, password or bind_type may be wrong'],
    ['ESME_RALYBND', 'The SMSC allows no more binds of cedar (ESME_RALYBND).'],
    ['ESME_RSYSERR', 'The SMSC refuses the bind: ESME_RSYSERR.'],
  ])('%s', async (answer, words) => {
    expect(await why(connectionTo(await startSmsc({ answer })))).toContain(`bind failed: ${words}`)
  })

  test('no more binds, and it may be our own gateways', async () => {
    const port = await startSmsc({ answer: 'ESME_RALYBND' })
    expect(await why(connectionTo(port), { ownBinds: 2 })).toContain('Our gateways hold 2 right now, so this may be no')
  })

  test('it takes the connection and says nothing', async () => {
    const port = await startListener(() => {})
    expect(await why(connectionTo(port))).toBe(
      'bind failed: 127.0.0.1 took the connection but did not answer the bind within 1 s. Does it want TLS?',
    )
    expect(await why(connectionTo(port, { tls: true }))).toContain(
      `tls failed: 127.0.0.1 took the connection on port ${port} but no TLS handshake came about`,
    )
  })

  test('it hangs up', async () => {
    const port = await startListener((socket) => socket.end())
    expect(await why(connectionTo(port))).toBe(
      'bind failed: 127.0.0.1 ended the connection instead of answering the bind. It may not know the address we come from, or want TLS.',
    )
    expect(await why(connectionTo(port, { tls: true }))).toContain(
      'tls failed: 127.0.0.1 ended the connection during the TLS handshake',
    )
  })

  test('it is something else, whose words are not repeated', async () => {
    const port = await startListener((socket) => socket.end('HTTP/1.1 400 Bad Request: swordfish\r\n\r\n'))
    expect(await why(connectionTo(port))).toBe(
      `bind failed: What answers on port ${port} of 127.0.0.1 does not speak SMPP.`,
    )
    expect(await why(connectionTo(port, { tls: true }))).toBe(
      `tls failed: 127.0.0.1 does not speak TLS on port ${port}.`,
    )
  })

  test('it binds, and then nothing', async () => {
    const port = await startSmsc({ onSession: (session) => session.pause() })
    expect(await why(connectionTo(port))).toBe(
      'enquire_link failed: It bound, but the SMSC did not answer the enquire_link within 1 s.',
    )
  })
})

describe('at the simulator', () => {
  const simulator = useSimulator()

  test('works, unless a password is wrong or all of its binds are taken', async () => {
    const at = (password: string) =>
      probe(connectionTo(simulator.smppPort(), { systemId: 'carillon', password: new Secret(password) }))
    expect(await at('swordfish')).toMatchObject({ ok: true, why: null })
    expect((await at('sturgeon')).why).toBe('The SMSC says that the password of carillon is wrong (ESME_RINVPASWD).')
    await simulator.bind()
    await simulator.control('PUT', '/settings', { max_binds: 1 })
    expect((await at('swordfish')).why).toBe('The SMSC allows no more binds of carillon (ESME_RALYBND).')
  })
})

describe('with TLS', () => {
  const authority = makeAuthority()
  const server = authority.issue('smsc.cedar.example')
  const own = authority.issue('us')
  const trusting = { tls: true, tlsCa: authority.cert, tlsServerName: 'smsc.cedar.example' }
  const asked = { tlsCertificate: own.cert, tlsKey: new Secret(own.key) }
  const why = async (port: number, given: Partial<Connection>) => (await probe(connectionTo(port, given))).why

  test('the certificate has to go back to whom we trust, and to have the right name', async () => {
    const port = await startSmsc({ tls: server })
    const result = await probe(connectionTo(port, trusting))
    expect(result).toMatchObject({ ok: true, why: null })
    expect(stepsOf(result)).toContain('transceiver tls')
    expect(await why(port, { ...trusting, tlsCa: null })).toContain('goes back to nobody whom we trust')
    expect(await why(port, { ...trusting, tlsCa: makeAuthority().cert })).toContain('set tls_ca')
    expect(await why(port, { ...trusting, tlsServerName: null })).toContain('is not for 127.0.0.1')
    expect(await why(port, { ...trusting, tlsServerName: 'other.example' })).toContain('is not for other.example')
    expect(await why(port, {})).toContain('or want TLS.')
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('it wants a certificate of ours (%s)', async (version) => {
    const requires = { requestCert: true, rejectUnauthorized: true, minVersion: version, maxVersion: version }
    const port = await startSmsc({ tls: { ...server, ca: authority.cert, ...requires } })
    expect(await probe(connectionTo(port, { ...trusting, ...asked }))).toMatchObject({ ok: true })
    expect(await why(port, trusting)).toBe('127.0.0.1 wants a certificate of ours: set tls_certificate and tls_key.')
    const strange = makeAuthority('Somebody else').issue('us')
    const wrong = { tlsCertificate: strange.cert, tlsKey: new Secret(strange.key) }
    expect(await why(port, { ...trusting, ...wrong })).toContain('not accept our certificate')
  })
})
