import { describe, expect, test } from 'vitest'
import { settle } from '../../test/fake-clock.ts'
import { deliver, makeBoundPair, makeEsme, submit, submitResp } from '../../test/smpp-pair.ts'
import { encodePdu as encoded } from './pdu/codec.ts'
import { toHandset } from './pdu/destinations.ts'
import {
  blankPdu,
  cancelSm,
  dataSm,
  enquireLink,
  genericNack,
  querySm,
  type RequestPdu,
  type ResponsePdu,
  replaceSm,
  submitMulti,
} from './pdu/pdu.ts'
import { SmppTimeout, WindowFull } from './session.types.ts'

describe('requests and responses', () => {
  test('match by sequence_number, in any order', async () => {
    const { esme, smsc, requests } = await makeBoundPair()
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) {
      esme.request(submit(name), (outcome) => {
        if (outcome.kind === 'response' && 'message_id' in outcome.pdu) ids.push(`${name}=${outcome.pdu.message_id}`)
      })
    }
    await settle()
    for (const request of requests.reverse()) {
      if (request.command === 'submit_sm') smsc.respond(request, { message_id: `id-${request.short_message}` })
    }
    await settle()
    expect(ids).toEqual(['c=id-c', 'b=id-b', 'a=id-a'])
  })

  test('are sent in one write per turn of the event loop', async () => {
    const { peer, send } = await makeEsme()
    const chunks = peer.chunks
    for (let i = 0; i < 50; i++) send()
    await settle()
    expect(peer.take()).toHaveLength(50)
    expect(peer.chunks - chunks).toBe(1)
  })

  test('end with a response also for an error status', async () => {
    const { esme, smsc, requests } = await makeBoundPair()
    const response = esme.send(submit())
    await settle()
    smsc.respond(requests[0] as RequestPdu, { command_status: 0x58 })
    expect(await response).toMatchObject({ command: 'submit_sm_resp', command_status: 0x58, message_id: '' })
  })

  test('match if the response is generic_nack, but not if it is of another command or number', async () => {
    const { peer, outcomes, send, session } = await makeEsme()
    send()
    await settle()
    await peer.send({ ...blankPdu('enquire_link_resp'), sequence_number: 2 }, submitResp(99))
    expect(outcomes).toEqual([])
    expect(session.inFlight).toBe(1)
    await peer.send(genericNack(0x03, 2))
    expect(outcomes).toMatchObject([{ kind: 'response', pdu: { command: 'generic_nack', command_status: 0x03 } }])
  })

  test('have consecutive sequence numbers, regardless of the number in the PDU', async () => {
    const { peer, send } = await makeEsme()
    send({ ...submit(), sequence_number: 1234 })
    send()
    await settle()
    expect(peer.take().map((pdu) => pdu.sequence_number)).toEqual([2, 3])
  })

  test('throw if they cannot be encoded, and then use no window slot', async () => {
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
  test('throws if it is full, and emits drain once per read that frees slots', async () => {
    const { session, peer, send } = await makeEsme({ window: 3 })
    let drains = 0
    session.on('drain', () => drains++)
    for (let i = 0; i < 3; i++) send()
    expect(session.free).toBe(0)
    expect(() => send()).toThrow(WindowFull)
    await settle()
    expect(peer.take()).toHaveLength(3)
    await peer.send(submitResp(2), submitResp(3))
    expect([session.free, session.inFlight, drains]).toEqual([2, 1, 1])
  })

  test('counts submit_multi', async () => {
    const { session } = await makeEsme()
    session.request(submitMulti({ dest_address: [toHandset('911')], short_message: Buffer.from('hi') }), () => {})
    expect(session.inFlight).toBe(1)
  })

  test('does not count other requests and responses', async () => {
    const { session, peer, send } = await makeEsme({ window: 1 })
    send()
    send(querySm({ message_id: 'x' }))
    session.on('request', (request) => session.respond(request))
    await peer.send(deliver(70), { ...enquireLink(), sequence_number: 71 })
    const received = peer.take().map((pdu) => pdu.command)
    expect(received.sort()).toEqual(['deliver_sm_resp', 'enquire_link_resp', 'query_sm', 'submit_sm'])
    expect(session.inFlight).toBe(1)
  })

  test('has a free slot after a timeout', async () => {
    const { session, clock, peer, send } = await makeEsme({ window: 1, responseDeadlineMs: 500 })
    let drains = 0
    session.on('drain', () => drains++)
    send()
    await clock.advance(250)
    await peer.send(deliver(1))
    await clock.advance(250)
    expect([session.free, drains]).toEqual([1, 1])
  })
})

describe('deadlines', () => {
  test('expire separately for each request, to the millisecond', async () => {
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

  test('emit a late response once with its request, without calling `onOutcome` again', async () => {
    const { session, clock, peer, outcomes, send } = await makeEsme({ responseDeadlineMs: 1_000 })
    const late: [RequestPdu, ResponsePdu][] = []
    session.on('late', (...pair) => late.push(pair))
    const request = submit('late')
    send(request)
    await clock.advance(1_000)
    await peer.send(submitResp(2, 'abc'), submitResp(2, 'abc'))
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    expect(late).toHaveLength(1)
    expect(late[0]?.[0]).toBe(request)
    expect(late[0]?.[1]).toMatchObject({ message_id: 'abc' })
  })

  test('expire after the responses in the socket are read, following a standstill of the process', async () => {
    const { clock, peer, outcomes, send } = await makeEsme({ responseDeadlineMs: 1_000, enquireLinkMs: 5_000 })
    send()
    send()
    await settle()
    await clock.stall(60_000, () => peer.stream.write(Buffer.from(encoded(submitResp(2)))))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['response', 'timeout'])
  })

  test('apply to all commands at both ends', async () => {
    const { esme, smsc, clock } = await makeBoundPair({ responseDeadlineMs: 1_000 })
    const silent = () => {}
    esme.on('request', silent)
    const ended: string[] = []
    const message = { message_id: 'a', source_addr: '1' }
    const requests: RequestPdu[] = [
      submit(),
      submitMulti({ dest_address: [toHandset('911')], short_message: Buffer.from('hi') }),
      dataSm({ destination_addr: '911', tlvs: {} }),
      querySm(message),
      cancelSm(message),
      replaceSm({ ...message, short_message: Buffer.from('hi') }),
    ]
    for (const pdu of requests) esme.request(pdu, ({ kind }) => ended.push(`${pdu.command} ${kind}`))
    smsc.request(deliver(), ({ kind }) => ended.push(`deliver_sm ${kind}`))
    await clock.advance(999)
    expect(ended).toEqual([])
    await clock.advance(1)
    expect(ended.toSorted()).toEqual(
      [...requests.map(({ command }) => `${command} timeout`), 'deliver_sm timeout'].toSorted(),
    )
  })

  test('make send() reject', async () => {
    const { session, clock } = await makeEsme({ responseDeadlineMs: 1_000 })
    const response = expect(session.send(submit())).rejects.toThrow(SmppTimeout)
    await clock.advance(1_000)
    await response
  })
})

describe('silence of the peer', () => {
  test('causes an enquire_link, and closes the session if the peer does not respond', async () => {
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

  test('stops requests after a timeout until the peer sends an octet', async () => {
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
    const requests = peer.take().at(-1)
    expect(requests?.command).toBe('enquire_link')
    await clock.advance(500)
    await peer.send({ ...blankPdu('enquire_link_resp'), sequence_number: requests?.sequence_number ?? 0 })
    expect([session.free, drains.at(-1)]).toEqual([10, 10])
    send()
    await clock.advance(2_000)
    expect(closes).toEqual(['silent'])
  })

  test('does not include a missing response of a peer that sends other PDUs', async () => {
    const { session, clock, peer, outcomes, send } = await makeEsme({
      enquireLinkMs: 60_000,
      responseDeadlineMs: 1_000,
    })
    send()
    await clock.advance(600)
    await peer.send(deliver(1))
    await clock.advance(400)
    expect(outcomes).toEqual([{ kind: 'timeout' }])
    expect(session.free).toBe(session.window)
    expect(peer.take().map(({ command }) => command)).not.toContain('enquire_link')
  })

  test('causes the next enquire_link only after the next period of silence', async () => {
    const { session, clock, peer } = await makeEsme({ enquireLinkMs: 5_000, responseDeadlineMs: 2_000 })
    for (let round = 0; round < 3; round++) {
      await clock.advance(5_000)
      const [requests] = peer.take()
      expect(requests).toMatchObject({ command: 'enquire_link' })
      await peer.send({ ...blankPdu('enquire_link_resp'), sequence_number: requests?.sequence_number ?? 0 })
    }
    expect(session.state).toBe('bound_trx')
  })

  test('is not measured while the session is paused; requests that arrive during the pause are emitted later', async () => {
    const { session, clock, peer, closes } = await makeEsme({ enquireLinkMs: 5_000, responseDeadlineMs: 2_000 })
    const requests: RequestPdu[] = []
    session.on('request', (request) => {
      requests.push(request)
      if (requests.length === 1) session.pause()
    })
    await peer.send(deliver(1), deliver(2), deliver(3))
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

test('a listener that pauses and immediately resumes the session gets each request once, in order', async () => {
  const { session, peer } = await makeEsme()
  const requests: number[] = []
  session.on('request', (request) => {
    requests.push(request.sequence_number)
    session.pause()
    session.resume()
  })
  await peer.send(deliver(1), deliver(2), deliver(3))
  expect(requests).toEqual([1, 2, 3])
})
