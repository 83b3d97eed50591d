import { describe, expect, test } from 'vitest'
import { settle } from '../../test/fake-clock.ts'
import { makeBoundPair, makeSession } from '../../test/smpp-pair.ts'
import type { Outcome } from './in-flight.ts'
import { encodePdu as encoded } from './pdu/codec.ts'
import { toHandset } from './pdu/destinations.ts'
import {
  alertNotification,
  bind,
  blankPdu,
  cancelSm,
  dataSm,
  deliverSm,
  enquireLink,
  genericNack,
  outbind,
  querySm,
  type RequestPdu,
  type ResponsePdu,
  replaceSm,
  submitMulti,
  submitSm,
  unbind,
} from './pdu/pdu.ts'
import { SmppClosed, SmppTimeout, WindowFull } from './session-errors.ts'

const submit = (short_message = 'hi') =>
  submitSm({ destination_addr: '12065550100', short_message: Buffer.from(short_message) })
const deliver = (sequence_number = 0) =>
  deliverSm({ sequence_number, source_addr: '1', destination_addr: '2', short_message: Buffer.from('STOP') })
const submitResp = (sequence_number: number, message_id = 'id') => ({
  ...blankPdu('submit_sm_resp'),
  sequence_number,
  message_id,
})

/** A session bound as ESME to raw bytes; the bind took sequence number 1. */
async function makeEsme(options = {}) {
  const made = makeSession(options)
  const bound = made.session.send(bind('bind_transceiver', { system_id: 'esme', password: 'secret' }))
  await settle()
  await made.peer.say({ ...blankPdu('bind_transceiver_resp'), sequence_number: 1, system_id: 'smsc' })
  await bound
  made.peer.take()
  const outcomes: Outcome[] = []
  const send = (pdu: RequestPdu = submit()) => made.session.request(pdu, (outcome) => outcomes.push(outcome))
  return { ...made, outcomes, send }
}

describe('requests and responses', () => {
  test('a response finds its request by sequence_number, in any order', async () => {
    const { esme, smsc, asked } = await makeBoundPair()
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) {
      esme.request(submit(name), (outcome) => {
        if (outcome.kind === 'response' && 'message_id' in outcome.pdu) ids.push(`${name}=${outcome.pdu.message_id}`)
      })
    }
    await settle()
    for (const request of asked.reverse()) {
      if (request.command === 'submit_sm') smsc.respond(request, { message_id: `id-${request.short_message}` })
    }
    await settle()
    expect(ids).toEqual(['c=id-c', 'b=id-b', 'a=id-a'])
  })

  test('PDUs of one turn leave in one write', async () => {
    const { peer, send } = await makeEsme()
    const chunks = peer.chunks
    for (let i = 0; i < 50; i++) send()
    await settle()
    expect(peer.take()).toHaveLength(50)
    expect(peer.chunks - chunks).toBe(1)
  })

  test('a refusal is a response', async () => {
    const { esme, smsc, asked } = await makeBoundPair()
    const answer = esme.send(submit())
    await settle()
    smsc.respond(asked[0] as RequestPdu, { command_status: 0x58 })
    expect(await answer).toMatchObject({ command: 'submit_sm_resp', command_status: 0x58, message_id: '' })
  })

  test('generic_nack answers a request; a response of another kind, or to nobody, answers nothing', async () => {
    const { peer, outcomes, send, session } = await makeEsme()
    send()
    await settle()
    await peer.say({ ...blankPdu('enquire_link_resp'), sequence_number: 2 }, submitResp(99))
    expect(outcomes).toEqual([])
    expect(session.inFlight).toBe(1)
    await peer.say(genericNack(0x03, 2))
    expect(outcomes).toMatchObject([{ kind: 'response', pdu: { command: 'generic_nack', command_status: 0x03 } }])
  })

  test('sequence numbers count from 1, whatever the PDU says', async () => {
    const { peer, send } = await makeEsme()
    send({ ...submit(), sequence_number: 1234 })
    send()
    await settle()
    expect(peer.take().map((pdu) => pdu.sequence_number)).toEqual([2, 3])
  })

  test('a PDU that cannot be encoded throws and takes no slot', async () => {
    const { session, peer, outcomes, send } = await makeEsme()
    expect(() => send({ ...submit(), destination_addr: '1'.repeat(30) })).toThrow('destination_addr')
    send()
    await settle()
    expect(peer.take()).toHaveLength(1)
    expect(session.inFlight).toBe(1)
    expect(outcomes).toEqual([])
  })
})

describe('the window', () => {
  test('a full window throws, and every read that frees slots says drain once', async () => {
    const { session, peer, send } = await makeEsme({ window: 3 })
    let drains = 0
    session.on('drain', () => drains++)
    for (let i = 0; i < 3; i++) send()
    expect(session.free).toBe(0)
    expect(() => send()).toThrow(WindowFull)
    await settle()
    expect(peer.take()).toHaveLength(3)
    await peer.say(submitResp(2), submitResp(3))
    expect([session.free, session.inFlight, drains]).toEqual([2, 1, 1])
  })

  test('a submit_multi takes a slot', async () => {
    const { session } = await makeEsme()
    session.request(submitMulti({ dest_address: [toHandset('911')], short_message: Buffer.from('hi') }), () => {})
    expect(session.inFlight).toBe(1)
  })

  test('other requests and responses do not count', async () => {
    const { session, peer, send } = await makeEsme({ window: 1 })
    send()
    send(querySm({ message_id: 'x' }))
    session.on('request', (request) => session.respond(request))
    await peer.say(deliver(70), { ...enquireLink(), sequence_number: 71 })
    const heard = peer.take().map((pdu) => pdu.command)
    expect(heard.sort()).toEqual(['deliver_sm_resp', 'enquire_link_resp', 'query_sm', 'submit_sm'])
    expect(session.inFlight).toBe(1)
  })

  test('a timeout frees the slot', async () => {
    const { session, clock, peer, send } = await makeEsme({ window: 1, responseDeadlineMs: 500 })
    let drains = 0
    session.on('drain', () => drains++)
    send()
    await clock.advance(250)
    await peer.say(deliver(1))
    await clock.advance(250)
    expect([session.free, drains]).toEqual([1, 1])
  })
})

describe('deadlines', () => {
  test('each request has its own, to the millisecond', async () => {
    const { clock, outcomes, send } = await makeEsme({ responseDeadlineMs: 1_000 })
    send()
    await clock.advance(400)
    send()
    await clock.advance(599)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    await clock.advance(399)
    expect(outcomes).toHaveLength(1)
    await clock.advance(1)
    expect(outcomes).toHaveLength(2)
  })

  test('a late response is told with the request it answers, once, and `done` is not called again', async () => {
    const { session, clock, peer, outcomes, send } = await makeEsme({ responseDeadlineMs: 1_000 })
    const late: [RequestPdu, ResponsePdu][] = []
    session.on('late', (...pair) => late.push(pair))
    const request = submit('late')
    send(request)
    await clock.advance(1_000)
    await peer.say(submitResp(2, 'abc'), submitResp(2, 'abc'))
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    expect(late).toHaveLength(1)
    expect(late[0]?.[0]).toBe(request)
    expect(late[0]?.[1]).toMatchObject({ message_id: 'abc' })
  })

  test('after the process stood still, answers that lie in the socket are read before anyone is late', async () => {
    const { clock, peer, outcomes, send } = await makeEsme({ responseDeadlineMs: 1_000, enquireLinkMs: 5_000 })
    send()
    send()
    await settle()
    await clock.stall(60_000, () => peer.stream.write(Buffer.from(encoded(submitResp(2)))))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['response', 'timeout'])
  })

  test('every request has one, at either end and whatever it asks', async () => {
    const { esme, smsc, clock } = await makeBoundPair({ responseDeadlineMs: 1_000 })
    const silent = () => {}
    esme.on('request', silent)
    const ended: string[] = []
    const message = { message_id: 'a', source_addr: '1' }
    const asked: RequestPdu[] = [
      submit(),
      submitMulti({ dest_address: [toHandset('911')], short_message: Buffer.from('hi') }),
      dataSm({ destination_addr: '911', tlvs: {} }),
      querySm(message),
      cancelSm(message),
      replaceSm({ ...message, short_message: Buffer.from('hi') }),
    ]
    for (const pdu of asked) esme.request(pdu, ({ kind }) => ended.push(`${pdu.command} ${kind}`))
    smsc.request(deliver(), ({ kind }) => ended.push(`deliver_sm ${kind}`))
    await clock.advance(999)
    expect(ended).toEqual([])
    await clock.advance(1)
    expect(ended.toSorted()).toEqual(
      [...asked.map(({ command }) => `${command} timeout`), 'deliver_sm timeout'].toSorted(),
    )
  })

  test('ask() throws at the deadline', async () => {
    const { session, clock } = await makeEsme({ responseDeadlineMs: 1_000 })
    const answer = expect(session.send(submit())).rejects.toThrow(SmppTimeout)
    await clock.advance(1_000)
    await answer
  })
})

describe('silence', () => {
  test('a silent peer is asked, and given up when it does not answer', async () => {
    const { session, clock, peer, outcomes, send, closes } = await makeEsme({
      enquireLinkMs: 5_000,
      responseDeadlineMs: 2_000,
    })
    await clock.advance(4_999)
    expect(peer.take()).toEqual([])
    await clock.advance(1)
    expect(peer.take()).toMatchObject([{ command: 'enquire_link' }])
    send()
    await clock.advance(1_999)
    expect(session.state).toBe('bound_trx')
    await clock.advance(1)
    expect(closes).toEqual(['silent'])
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: true }])
  })

  test('one that lets a request run out of time in silence gets no more until it is heard', async () => {
    const { session, clock, peer, outcomes, send, closes } = await makeEsme({
      window: 10,
      enquireLinkMs: 60_000,
      responseDeadlineMs: 1_000,
    })
    const drains: number[] = []
    session.on('drain', () => drains.push(session.free))
    send()
    await clock.advance(1_000)
    expect([outcomes, session.free]).toEqual([[{ kind: 'timeout' }], 0])
    const asked = peer.take().at(-1)
    expect(asked?.command).toBe('enquire_link')
    await clock.advance(500)
    await peer.say({ ...blankPdu('enquire_link_resp'), sequence_number: asked?.sequence_number ?? 0 })
    expect([session.free, drains.at(-1)]).toEqual([10, 10])
    send()
    await clock.advance(2_000)
    expect(closes).toEqual(['silent'])
  })

  test('one that leaves a single request without an answer and talks on is not doubted', async () => {
    const { session, clock, peer, outcomes, send } = await makeEsme({
      enquireLinkMs: 60_000,
      responseDeadlineMs: 1_000,
    })
    send()
    await clock.advance(600)
    await peer.say(deliver(1))
    await clock.advance(400)
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    expect(session.free).toBe(session.window)
    expect(peer.take().map(({ command }) => command)).not.toContain('enquire_link')
  })

  test('a peer that answers is asked again only after the next silence', async () => {
    const { session, clock, peer } = await makeEsme({ enquireLinkMs: 5_000, responseDeadlineMs: 2_000 })
    for (let round = 0; round < 3; round++) {
      await clock.advance(5_000)
      const [asked] = peer.take()
      expect(asked).toMatchObject({ command: 'enquire_link' })
      await peer.say({ ...blankPdu('enquire_link_resp'), sequence_number: asked?.sequence_number ?? 0 })
    }
    expect(session.state).toBe('bound_trx')
  })

  test('a paused session judges nobody; what came meanwhile is handed on at resume', async () => {
    const { session, clock, peer, closes } = await makeEsme({ enquireLinkMs: 5_000, responseDeadlineMs: 2_000 })
    const requests: RequestPdu[] = []
    session.on('request', (request) => {
      requests.push(request)
      if (requests.length === 1) session.pause()
    })
    await peer.say(deliver(1), deliver(2), deliver(3))
    expect(requests).toHaveLength(1)
    await clock.advance(60_000)
    expect([closes, peer.take()]).toEqual([[], []])
    session.resume()
    await settle()
    expect(requests.map((request) => request.sequence_number)).toEqual([1, 2, 3])
    await clock.advance(4_999)
    expect(peer.take().map((pdu) => pdu.command)).not.toContain('enquire_link')
  })
})

test('a listener that pauses and resumes at once gets every request once, in order', async () => {
  const { session, peer } = await makeEsme()
  const requests: number[] = []
  session.on('request', (request) => {
    requests.push(request.sequence_number)
    session.pause()
    session.resume()
  })
  await peer.say(deliver(1), deliver(2), deliver(3))
  expect(requests).toEqual([1, 2, 3])
})

describe('states (table 2-1)', () => {
  test('before the bind only a bind is taken', async () => {
    const { session, peer } = makeSession()
    session.on('request', (request) => session.respond(request))
    await peer.say({ ...submit(), sequence_number: 1 }, { ...enquireLink(), sequence_number: 2 })
    expect(peer.take()).toMatchObject([
      { command: 'submit_sm_resp', command_status: 0x04 },
      { command: 'enquire_link_resp', command_status: 0 },
    ])
    await peer.say({ ...bind('bind_transmitter', { system_id: 'a', password: 'b' }), sequence_number: 3 })
    expect(peer.take()).toMatchObject([{ command: 'bind_transmitter_resp', tlvs: { sc_interface_version: 0x34 } }])
    expect(session.state).toBe('bound_tx')
    await peer.say({ ...bind('bind_receiver', { system_id: 'a', password: 'b' }), sequence_number: 4 })
    expect(peer.take()).toMatchObject([{ command: 'bind_receiver_resp', command_status: 0x05 }])
  })

  test('a receiver may not submit, and nobody may deliver to an SMSC', async () => {
    const { session, peer } = makeSession()
    session.on('request', (request) => session.respond(request))
    await peer.say({ ...bind('bind_receiver', { system_id: 'a', password: 'b' }), sequence_number: 1 })
    await peer.say({ ...submit(), sequence_number: 2 }, deliver(3))
    expect(peer.take().slice(1)).toMatchObject([
      { command: 'submit_sm_resp', command_status: 0x04 },
      { command: 'deliver_sm_resp', command_status: 0x04 },
    ])
  })

  test('what our own state does not allow is never written', async () => {
    const { session, peer } = makeSession()
    expect(session.free).toBe(0)
    const outcome = await new Promise<Outcome>((resolve) => session.request(submit(), resolve))
    expect(outcome).toMatchObject({ kind: 'closed', sent: false })
    await settle()
    expect(peer.take()).toEqual([])
  })

  test('what has no response gets none, heard or not; out of place it is nacked', async () => {
    const { peer, session } = await makeEsme()
    const alert = alertNotification({ sequence_number: 8, source_addr: '12065550100', esme_addr: '12345' })
    await peer.say(alert)
    const heard: RequestPdu[] = []
    session.on('request', (request) => {
      heard.push(request)
      session.respond(request, { command_status: 0x03 })
    })
    await peer.say(alert)
    expect(heard).toMatchObject([{ command: 'alert_notification', source_addr: '12065550100' }])
    expect(peer.take()).toEqual([])
    await peer.say(outbind({ sequence_number: 9, system_id: 'smsc', password: 'secret' }))
    expect(peer.take()).toMatchObject([{ command: 'generic_nack', command_status: 4, sequence_number: 9 }])
  })

  test('notify() sends what has no response, where the state allows it, and waits for nothing', async () => {
    const { smsc, esme } = await makeBoundPair()
    const heard: RequestPdu[] = []
    esme.on('request', (request) => heard.push(request))
    const alert = alertNotification({ source_addr: '12065550100', esme_addr: '12345' })
    expect([
      esme.notify(alert),
      smsc.notify({ ...alert }),
      smsc.notify(outbind({ system_id: 'a', password: 'b' })),
    ]).toEqual([false, true, false])
    await settle()
    expect(heard).toMatchObject([{ command: 'alert_notification', sequence_number: 1 }])
    await smsc.unbind()
    expect(smsc.state).toBe('closed')
  })

  test('a request that nobody listens to is put off, not lost', async () => {
    const { peer } = await makeEsme()
    await peer.say(deliver(5))
    expect(peer.take()).toMatchObject([{ command: 'deliver_sm_resp', command_status: 0x64, sequence_number: 5 }])
  })
})

describe('the end', () => {
  test('unbind() waits for what is in flight, takes nothing new, and goes in order', async () => {
    const { session, peer, outcomes, send, closes } = await makeEsme()
    send()
    const left = session.unbind()
    await settle()
    expect(peer.take().map((pdu) => pdu.command)).toEqual(['submit_sm'])
    send()
    await settle()
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: false }])
    await peer.say(submitResp(2))
    expect(peer.take()).toMatchObject([{ command: 'unbind', sequence_number: 3 }])
    await peer.say({ ...blankPdu('unbind_resp'), sequence_number: 3 })
    await left
    expect(closes).toEqual(['unbound'])
    expect(outcomes[1]).toMatchObject({ kind: 'response' })
    expect(peer.ended).toBe(true)
  })

  test('unbind() ends by the deadlines when the peer says nothing more', async () => {
    const { session, clock, outcomes, send, closes } = await makeEsme({ responseDeadlineMs: 1_000 })
    send()
    const left = session.unbind()
    await clock.advance(1_000)
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    await clock.advance(1_000)
    await left
    expect(closes).toEqual(['unbound'])
  })

  test('a peer that does not hang up after its unbind_resp is hung up on', async () => {
    const { session, peer, stream, clock } = await makeEsme()
    peer.staysOn = true
    const left = session.unbind()
    await settle()
    await peer.say({ ...blankPdu('unbind_resp'), sequence_number: 2 })
    await clock.advance(999)
    expect(stream.closed).toBe(false)
    await clock.advance(1)
    await left
    expect(stream.closed).toBe(true)
  })

  test("the peer's unbind is answered, and ends the session", async () => {
    const { peer, closes } = await makeEsme()
    await peer.say({ ...unbind(), sequence_number: 9 })
    expect(peer.take()).toMatchObject([{ command: 'unbind_resp', command_status: 0, sequence_number: 9 }])
    expect(closes).toEqual(['peer unbound'])
    expect(peer.ended).toBe(true)
  })

  test('a peer that unbinds while the window is full still answers it, and nothing new is sent', async () => {
    const { session, peer, outcomes, send, closes } = await makeEsme({ window: 2 })
    send()
    send()
    await settle()
    peer.take()
    await peer.say({ ...unbind(), sequence_number: 9 })
    expect([session.free, session.bound, peer.take()]).toEqual([0, true, []])
    send(querySm({ message_id: 'a' }))
    await settle()
    await peer.say(submitResp(2), submitResp(3))
    expect(outcomes).toMatchObject([
      { kind: 'closed', sent: false },
      { kind: 'response', pdu: { sequence_number: 2 } },
      { kind: 'response', pdu: { sequence_number: 3 } },
    ])
    expect(peer.take()).toMatchObject([{ command: 'unbind_resp', sequence_number: 9 }])
    expect(closes).toEqual(['peer unbound'])
  })

  test('a peer that unbinds and answers no more is let go after a second', async () => {
    const { peer, clock, outcomes, send, closes } = await makeEsme()
    send()
    await settle()
    await peer.say({ ...unbind(), sequence_number: 9 })
    await clock.advance(999)
    expect([outcomes, closes]).toEqual([[], []])
    await clock.advance(1)
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: true }])
    expect(closes).toEqual(['peer unbound'])
    expect(peer.heard.at(-1)).toMatchObject({ command: 'unbind_resp', sequence_number: 9 })
  })

  test('both ends unbind at once: each answers what it was asked, and nobody waits for the other', async () => {
    const { esme, smsc, asked, clock } = await makeBoundPair()
    const ended: string[] = []
    const delivered: RequestPdu[] = []
    esme.on('request', (request) => delivered.push(request))
    esme.request(submit(), ({ kind }) => ended.push(`submit ${kind}`))
    smsc.request(deliver(), ({ kind }) => ended.push(`deliver ${kind}`))
    await settle()
    const left = Promise.all([esme.unbind(), smsc.unbind()])
    esme.respond(delivered[0] as RequestPdu)
    await settle()
    smsc.respond(asked[0] as RequestPdu)
    await clock.advance(1)
    await left
    expect(ended).toEqual(['deliver response', 'submit response'])
  })

  test('unbinds that cross on the wire end both sessions at once', async () => {
    const { esme, smsc, clock } = await makeBoundPair()
    const left = Promise.all([esme.unbind(), smsc.unbind()])
    await clock.advance(1)
    await left
  })

  test('a close fails everything in flight once, and says what cannot have been seen', async () => {
    const { session, peer, outcomes, send, closes } = await makeEsme()
    send()
    await settle()
    send()
    session.destroy('pulled')
    send()
    await settle()
    expect(outcomes).toEqual([
      { kind: 'closed', sent: true, reason: 'pulled' },
      { kind: 'closed', sent: false, reason: 'pulled' },
      { kind: 'closed', sent: false, reason: 'closed' },
    ])
    expect(closes).toEqual(['pulled'])
    expect(peer.take()).toHaveLength(1)
    await expect(session.send(submit())).rejects.toThrow(SmppClosed)
  })

  const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25)

  test('who stood still before it wrote an answer writes it all the same', async () => {
    const { session, peer, closes } = await makeEsme({ staleMs: 20 })
    session.on('request', (request) => session.respond(request))
    peer.stream.write(encoded(deliver(7)))
    session.once('request', standStill)
    await settle()
    expect(peer.take()).toMatchObject([{ command: 'deliver_sm_resp', sequence_number: 7 }])
    expect(closes).toEqual([])
  })

  test('a peer that takes nothing has no slots free, and again some when it does', async () => {
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

  test('who stood still between a request and its write gives up, with the request unwritten', async () => {
    const { peer, outcomes, send, closes } = await makeEsme({ staleMs: 20 })
    send()
    await settle()
    expect(peer.take()).toHaveLength(1)
    send()
    standStill()
    await settle()
    expect(outcomes.map((outcome) => outcome.kind === 'closed' && outcome.sent)).toEqual([true, false])
    expect(peer.take()).toEqual([])
    expect(closes).toEqual(['stood still before it could write'])
  })

  test('what waits behind a peer that takes nothing cannot have been seen', async () => {
    const { session, peer, outcomes, send } = await makeEsme()
    peer.stream.pause()
    for (let i = 0; i < 10; i++) send({ ...submit(), tlvs: { message_payload: Buffer.alloc(60_000) } })
    await settle()
    send(submit())
    await settle()
    session.destroy('pulled')
    expect(outcomes.map((outcome) => outcome.kind === 'closed' && outcome.sent)).toEqual([
      ...Array(10).fill(true),
      false,
    ])
  })

  test('a peer that hangs up closes the session', async () => {
    const { peer, outcomes, send, closes } = await makeEsme()
    send()
    await settle()
    peer.stream.end()
    await settle()
    expect(closes).toEqual(['peer closed'])
    expect(outcomes).toMatchObject([{ kind: 'closed', sent: true }])
  })
})

describe('bad bytes', () => {
  test('a body at fault is refused by its own response, an unknown command by generic_nack; the session lives', async () => {
    const { session, peer } = await makeEsme()
    const cut = encoded(deliver(5)).subarray(0, 30)
    cut.writeUInt32BE(30)
    const unknown = encoded({ ...enquireLink(), sequence_number: 6 })
    unknown.writeUInt32BE(0x99, 4)
    await peer.say(cut, unknown)
    expect(peer.take()).toMatchObject([
      { command: 'deliver_sm_resp', sequence_number: 5, command_status: expect.toSatisfy((status) => status > 0) },
      { command: 'generic_nack', sequence_number: 6, command_status: 0x03 },
    ])
    expect(session.state).toBe('bound_trx')
  })

  test('a response of no known kind is passed over: to nack it would answer a request of the same number', async () => {
    const { peer, session } = await makeEsme()
    const odd = encoded({ ...blankPdu('data_sm_resp'), sequence_number: 5 })
    odd.writeUInt32BE(0x8000_0777, 4)
    await peer.say(odd)
    expect(peer.take()).toEqual([])
    expect(session.bound).toBe(true)
  })

  test('an impossible length is nacked and ends the session, after what came whole before it', async () => {
    const { session, peer, closes } = await makeEsme()
    session.on('request', (request) => session.respond(request))
    await peer.say(deliver(5), Buffer.from('ffffffff000000040000000000000001', 'hex'))
    expect(peer.take()).toMatchObject([
      { command: 'deliver_sm_resp', sequence_number: 5 },
      { command: 'generic_nack', command_status: 0x02, sequence_number: 0 },
    ])
    expect(closes).toEqual([expect.stringContaining('bad frame')])
    expect(peer.ended).toBe(true)
  })
})

test('a peer that takes nothing is not read from beyond a bound, and catches up afterwards', async () => {
  const { session, peer } = await makeEsme()
  const refused = { ...blankPdu('deliver_sm_resp'), message_id: 'x'.repeat(60) }
  let answered = 0
  session.on('request', (request) => {
    answered++
    session.respond(request, { message_id: refused.message_id })
  })
  peer.stream.pause()
  const flood = Buffer.concat(Array.from({ length: 1_000 }, (_, i) => encoded(deliver(i + 1))))
  for (let i = 0; i < 40; i++) await peer.say(flood)
  expect(session.backlog).toBeGreaterThan(1024 * 1024)
  expect(session.backlog).toBeLessThan(1.5 * 1024 * 1024)
  expect(answered).toBeLessThan(20_000)
  peer.stream.resume()
  for (let i = 0; i < 400 && peer.heard.length < 40_000; i++) await settle()
  expect(peer.heard).toHaveLength(40_000)
  expect(session.backlog).toBe(0)
})
