import { describe, expect, test } from 'vitest'
import { settle } from '../../test/fake-clock.ts'
import { deliver, makeBoundPair, makeEsme, makeSession, submit, submitResp } from '../../test/smpp-pair.ts'
import type { Outcome } from './in-flight.ts'
import { encodePdu as encoded } from './pdu/codec.ts'
import { alertNotification, bind, blankPdu, enquireLink, outbind, querySm, type RequestPdu, unbind } from './pdu/pdu.ts'
import { SmppClosed } from './session.types.ts'

describe('states (table 2-1)', () => {
  test('accepts only a bind and enquire_link before the bind', async () => {
    const { session, peer } = makeSession()
    session.on('request', (request) => session.respond(request))
    await peer.send({ ...submit(), sequence_number: 1 }, { ...enquireLink(), sequence_number: 2 })
    expect(peer.take()).toMatchObject([
      { command: 'submit_sm_resp', command_status: 0x04 },
      { command: 'enquire_link_resp', command_status: 0 },
    ])
    await peer.send({ ...bind('bind_transmitter', { system_id: 'a', password: 'b' }), sequence_number: 3 })
    expect(peer.take()).toMatchObject([{ command: 'bind_transmitter_resp', tlvs: { sc_interface_version: 0x34 } }])
    expect(session.state).toBe('bound_tx')
    await peer.send({ ...bind('bind_receiver', { system_id: 'a', password: 'b' }), sequence_number: 4 })
    expect(peer.take()).toMatchObject([{ command: 'bind_receiver_resp', command_status: 0x05 }])
  })

  test('rejects a submit_sm of a receiver, and a deliver_sm of an ESME', async () => {
    const { session, peer } = makeSession()
    session.on('request', (request) => session.respond(request))
    await peer.send({ ...bind('bind_receiver', { system_id: 'a', password: 'b' }), sequence_number: 1 })
    await peer.send({ ...submit(), sequence_number: 2 }, deliver(3))
    expect(peer.take().slice(1)).toMatchObject([
      { command: 'submit_sm_resp', command_status: 0x04 },
      { command: 'deliver_sm_resp', command_status: 0x04 },
    ])
  })

  test('does not write requests that our own state does not allow', async () => {
    const { session, peer } = makeSession()
    expect(session.free).toBe(0)
    const outcome = await new Promise<Outcome>((resolve) => session.request(submit(), resolve))
    expect(outcome).toMatchObject({ kind: 'closed', sent: false })
    await settle()
    expect(peer.take()).toEqual([])
  })

  test('sends no response to an alert_notification, and generic_nack to an outbind in a wrong state', async () => {
    const { peer, session } = await makeEsme()
    const alert = alertNotification({ sequence_number: 8, source_addr: '12065550100', esme_addr: '12345' })
    await peer.send(alert)
    const received: RequestPdu[] = []
    session.on('request', (request) => {
      received.push(request)
      session.respond(request, { command_status: 0x03 })
    })
    await peer.send(alert)
    expect(received).toMatchObject([{ command: 'alert_notification', source_addr: '12065550100' }])
    expect(peer.take()).toEqual([])
    await peer.send(outbind({ sequence_number: 9, system_id: 'smsc', password: 'secret' }))
    expect(peer.take()).toMatchObject([{ command: 'generic_nack', command_status: 4, sequence_number: 9 }])
  })

  test('notify() sends a PDU without a response if the state allows it', async () => {
    const { smsc, esme } = await makeBoundPair()
    const received: RequestPdu[] = []
    esme.on('request', (request) => received.push(request))
    const alert = alertNotification({ source_addr: '12065550100', esme_addr: '12345' })
    expect([
      esme.notify(alert),
      smsc.notify({ ...alert }),
      smsc.notify(outbind({ system_id: 'a', password: 'b' })),
    ]).toEqual([false, true, false])
    await settle()
    expect(received).toMatchObject([{ command: 'alert_notification', sequence_number: 1 }])
    await smsc.unbind()
    expect(smsc.state).toBe('closed')
  })

  test('responds with ESME_RX_T_APPN to a request without a listener, so that the peer retries', async () => {
    const { peer } = await makeEsme()
    await peer.send(deliver(5))
    expect(peer.take()).toMatchObject([{ command: 'deliver_sm_resp', command_status: 0x64, sequence_number: 5 }])
  })
})

describe('the end of a session', () => {
  test('unbind() rejects new requests, waits for requests in flight, and then unbinds', async () => {
    const { session, peer, outcomes, send, closes } = await makeEsme()
    send()
    const unbound = session.unbind()
    await settle()
    expect(peer.take().map((pdu) => pdu.command)).toEqual(['submit_sm'])
    send()
    await settle()
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: false }])
    await peer.send(submitResp(2))
    expect(peer.take()).toMatchObject([{ command: 'unbind', sequence_number: 3 }])
    await peer.send({ ...blankPdu('unbind_resp'), sequence_number: 3 })
    await unbound
    expect(closes).toEqual(['unbound'])
    expect(outcomes[1]).toMatchObject({ kind: 'response' })
    expect(peer.ended).toBe(true)
  })

  test('unbind() ends at the deadlines if the peer is silent', async () => {
    const { session, clock, outcomes, send, closes } = await makeEsme({ responseDeadlineMs: 1_000 })
    send()
    const unbound = session.unbind()
    await clock.advance(1_000)
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    await clock.advance(1_000)
    await unbound
    expect(closes).toEqual(['unbound'])
  })

  test('the session closes the socket if the peer does not close it after its unbind_resp', async () => {
    const { session, peer, stream, clock } = await makeEsme()
    peer.staysOpen = true
    const unbound = session.unbind()
    await settle()
    await peer.send({ ...blankPdu('unbind_resp'), sequence_number: 2 })
    await clock.advance(999)
    expect(stream.closed).toBe(false)
    await clock.advance(1)
    await unbound
    expect(stream.closed).toBe(true)
  })

  test('an unbind of the peer gets a response and ends the session', async () => {
    const { peer, closes } = await makeEsme()
    await peer.send({ ...unbind(), sequence_number: 9 })
    expect(peer.take()).toMatchObject([{ command: 'unbind_resp', command_status: 0, sequence_number: 9 }])
    expect(closes).toEqual(['peer unbound'])
    expect(peer.ended).toBe(true)
  })

  test('after an unbind of the peer, responses to a full window are read, and no request is sent', async () => {
    const { session, peer, outcomes, send, closes } = await makeEsme({ window: 2 })
    send()
    send()
    await settle()
    peer.take()
    await peer.send({ ...unbind(), sequence_number: 9 })
    expect([session.free, session.bound, peer.take()]).toEqual([0, true, []])
    send(querySm({ message_id: 'a' }))
    await settle()
    await peer.send(submitResp(2), submitResp(3))
    expect(outcomes).toMatchObject([
      { kind: 'closed', sent: false },
      { kind: 'response', pdu: { sequence_number: 2 } },
      { kind: 'response', pdu: { sequence_number: 3 } },
    ])
    expect(peer.take()).toMatchObject([{ command: 'unbind_resp', sequence_number: 9 }])
    expect(closes).toEqual(['peer unbound'])
  })

  test('a peer that unbinds and does not respond to open requests is disconnected after one second', async () => {
    const { peer, clock, outcomes, send, closes } = await makeEsme()
    send()
    await settle()
    await peer.send({ ...unbind(), sequence_number: 9 })
    await clock.advance(999)
    expect([outcomes, closes]).toEqual([[], []])
    await clock.advance(1)
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: true }])
    expect(closes).toEqual(['peer unbound'])
    expect(peer.received.at(-1)).toMatchObject({ command: 'unbind_resp', sequence_number: 9 })
  })

  test('two ends that unbind simultaneously respond to open requests without waiting for each other', async () => {
    const { esme, smsc, requests, clock } = await makeBoundPair()
    const ended: string[] = []
    const delivered: RequestPdu[] = []
    esme.on('request', (request) => delivered.push(request))
    esme.request(submit(), ({ kind }) => ended.push(`submit ${kind}`))
    smsc.request(deliver(), ({ kind }) => ended.push(`deliver ${kind}`))
    await settle()
    const unbound = Promise.all([esme.unbind(), smsc.unbind()])
    esme.respond(delivered[0] as RequestPdu)
    await settle()
    smsc.respond(requests[0] as RequestPdu)
    await clock.advance(1)
    await unbound
    expect(ended).toEqual(['deliver response', 'submit response'])
  })

  test('unbinds that cross on the wire end both sessions immediately', async () => {
    const { esme, smsc, clock } = await makeBoundPair()
    const unbound = Promise.all([esme.unbind(), smsc.unbind()])
    await clock.advance(1)
    await unbound
  })

  test('a close ends each request in flight once, and reports whether it was sent', async () => {
    const { session, peer, outcomes, send, closes } = await makeEsme()
    send()
    await settle()
    send()
    session.destroy('reset')
    send()
    await settle()
    expect(outcomes).toEqual([
      { kind: 'closed', sent: true, reason: 'reset' },
      { kind: 'closed', sent: false, reason: 'reset' },
      { kind: 'closed', sent: false, reason: 'closed' },
    ])
    expect(closes).toEqual(['reset'])
    expect(peer.take()).toHaveLength(1)
    await expect(session.send(submit())).rejects.toThrow(SmppClosed)
  })

  const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25)

  test('a response is written after a standstill of the process', async () => {
    const { session, peer, closes } = await makeEsme({ staleMs: 20 })
    session.on('request', (request) => session.respond(request))
    peer.stream.write(encoded(deliver(7)))
    session.once('request', standStill)
    await settle()
    expect(peer.take()).toMatchObject([{ command: 'deliver_sm_resp', sequence_number: 7 }])
    expect(closes).toEqual([])
  })

  test('the session has no free window slots while the peer does not read', async () => {
    const { session, peer, send } = await makeEsme({ staleMs: 20 })
    let drains = 0
    session.on('drain', () => drains++)
    peer.stream.pause()
    for (let i = 0; i < 3; i++) send({ ...submit(), tlvs: { message_payload: Buffer.alloc(60_000) } })
    await settle()
    expect(session.free).toBe(0)
    peer.stream.resume()
    await settle()
    expect([session.free, drains]).toEqual([97, 1])
  })

  test('a standstill between a request and its write closes the session without writing the request', async () => {
    const { peer, outcomes, send, closes } = await makeEsme({ staleMs: 20 })
    send()
    await settle()
    expect(peer.take()).toHaveLength(1)
    send()
    standStill()
    await settle()
    expect(outcomes.map((outcome) => outcome.kind === 'closed' && outcome.sent)).toEqual([true, false])
    expect(peer.take()).toEqual([])
    expect(closes).toEqual(['stale before it could be written'])
  })

  test('requests that wait because the peer does not read are reported as not sent', async () => {
    const { session, peer, outcomes, send } = await makeEsme()
    peer.stream.pause()
    for (let i = 0; i < 10; i++) send({ ...submit(), tlvs: { message_payload: Buffer.alloc(60_000) } })
    await settle()
    send(submit())
    await settle()
    session.destroy('reset')
    expect(outcomes.map((outcome) => outcome.kind === 'closed' && outcome.sent)).toEqual([
      ...Array(10).fill(true),
      false,
    ])
  })

  test('a socket closed by the peer closes the session', async () => {
    const { peer, outcomes, send, closes } = await makeEsme()
    send()
    await settle()
    peer.stream.end()
    await settle()
    expect(closes).toEqual(['peer closed'])
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: true }])
  })
})

describe('malformed input', () => {
  test('gets an error response to a malformed body and generic_nack to an unknown command, and does not end the session', async () => {
    const { session, peer } = await makeEsme()
    const cut = encoded(deliver(5)).subarray(0, 30)
    cut.writeUInt32BE(30)
    const unknown = encoded({ ...enquireLink(), sequence_number: 6 })
    unknown.writeUInt32BE(0x99, 4)
    await peer.send(cut, unknown)
    expect(peer.take()).toMatchObject([
      { command: 'deliver_sm_resp', sequence_number: 5, command_status: expect.toSatisfy((status) => status > 0) },
      { command: 'generic_nack', sequence_number: 6, command_status: 0x03 },
    ])
    expect(session.state).toBe('bound_trx')
  })

  test('is ignored if it is an unknown response: a generic_nack to it would end a request of the same number', async () => {
    const { peer, session } = await makeEsme()
    const unknown = encoded({ ...blankPdu('data_sm_resp'), sequence_number: 5 })
    unknown.writeUInt32BE(0x8000_0777, 4)
    await peer.send(unknown)
    expect(peer.take()).toEqual([])
    expect(session.bound).toBe(true)
  })

  test('gets generic_nack and ends the session, after the PDUs before it, if it is an invalid length', async () => {
    const { session, peer, closes } = await makeEsme()
    session.on('request', (request) => session.respond(request))
    await peer.send(deliver(5), Buffer.from('ffffffff000000040000000000000001', 'hex'))
    expect(peer.take()).toMatchObject([
      { command: 'deliver_sm_resp', sequence_number: 5 },
      { command: 'generic_nack', command_status: 0x02, sequence_number: 0 },
    ])
    expect(closes).toEqual([expect.stringContaining('bad frame')])
    expect(peer.ended).toBe(true)
  })
})

test('the session reads a limited amount while the peer does not read, and the rest afterwards', async () => {
  const { session, peer } = await makeEsme()
  const rejected = { ...blankPdu('deliver_sm_resp'), message_id: 'x'.repeat(60) }
  let responses = 0
  session.on('request', (request) => {
    responses++
    session.respond(request, { message_id: rejected.message_id })
  })
  peer.stream.pause()
  const flood = Buffer.concat(Array.from({ length: 1_000 }, (_, i) => encoded(deliver(i + 1))))
  for (let i = 0; i < 40; i++) await peer.send(flood)
  expect(session.backlog).toBeGreaterThan(1024 * 1024)
  expect(session.backlog).toBeLessThan(1.5 * 1024 * 1024)
  expect(responses).toBeLessThan(20_000)
  peer.stream.resume()
  for (let i = 0; i < 400 && peer.received.length < 40_000; i++) await settle()
  expect(peer.received).toHaveLength(40_000)
  expect(session.backlog).toBe(0)
})
