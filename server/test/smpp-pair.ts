import { type Duplex, duplexPair } from 'node:stream'
import { Framer } from '../src/smpp/framer.ts'
import type { Outcome } from '../src/smpp/in-flight.ts'
import { decodePdu, encodePdu } from '../src/smpp/pdu/codec.ts'
import type { Pdu, RequestPdu } from '../src/smpp/pdu/pdu.ts'
import { bind, blankPdu, deliverSm, submitSm } from '../src/smpp/pdu/pdu.ts'
import { Session } from '../src/smpp/session.ts'
import type { SessionOptions } from '../src/smpp/session.types.ts'
import { FakeClock, settle } from './fake-clock.ts'

/** The far end of a session as raw bytes: sends the given PDUs and records those that it receives. */
export class RawPeer {
  readonly stream: Duplex
  readonly received: Pdu[] = []
  /** Number of received chunks, which is the number of writes by the session. */
  chunks = 0
  ended = false
  /** Whether its end stays open when the session closes. */
  staysOpen = false

  constructor(stream: Duplex) {
    this.stream = stream
    const framer = new Framer()
    stream.on('data', (chunk: Buffer) => {
      this.chunks++
      for (const frame of framer.push(chunk)) this.received.push(decodePdu(frame))
    })
    stream.on('end', () => {
      this.ended = true
      if (!this.staysOpen) stream.end()
    })
  }

  async send(...pdus: (Pdu | Buffer)[]): Promise<void> {
    this.stream.write(Buffer.concat(pdus.map((pdu) => (Buffer.isBuffer(pdu) ? pdu : encodePdu(pdu)))))
    await settle()
  }

  /** Removes and returns the PDUs received since the last call. */
  take(): Pdu[] {
    return this.received.splice(0)
  }
}

/** Makes a session whose far end is raw bytes, on a fake clock. */
export function makeSession(options: SessionOptions = {}) {
  const [near, far] = duplexPair()
  const clock = new FakeClock()
  const session = new Session(near, { clock, ...options })
  const closes: string[] = []
  session.on('close', (reason) => closes.push(reason))
  return { session, clock, peer: new RawPeer(far), stream: near, closes }
}

/** Makes two connected sessions, bound as ESME and SMSC; records each request to the SMSC and sends no response. */
export async function makeBoundPair(
  options: SessionOptions = {},
  kind: 'transceiver' | 'transmitter' | 'receiver' = 'transceiver',
) {
  const [near, far] = duplexPair()
  const clock = new FakeClock()
  const esme = new Session(near, { clock, ...options })
  const smsc = new Session(far, { clock, ...options })
  const requests: RequestPdu[] = []
  smsc.once('request', (request) => {
    smsc.respond(request, { system_id: 'smsc' })
    smsc.on('request', (submit) => requests.push(submit))
  })
  await esme.send(bind(`bind_${kind}`, { system_id: 'esme', password: 'secret' }))
  return { esme, smsc, clock, requests }
}

export const submit = (short_message = 'hi') =>
  submitSm({ destination_addr: '12065550100', short_message: Buffer.from(short_message) })
export const deliver = (sequence_number = 0) =>
  deliverSm({ sequence_number, source_addr: '1', destination_addr: '2', short_message: Buffer.from('STOP') })
export const submitResp = (sequence_number: number, message_id = 'id') => ({
  ...blankPdu('submit_sm_resp'),
  sequence_number,
  message_id,
})

/** Makes a session bound as ESME to raw bytes; the bind used sequence number 1. */
export async function makeEsme(options = {}) {
  const made = makeSession(options)
  const bound = made.session.send(bind('bind_transceiver', { system_id: 'esme', password: 'secret' }))
  await settle()
  await made.peer.send({ ...blankPdu('bind_transceiver_resp'), sequence_number: 1, system_id: 'smsc' })
  await bound
  made.peer.take()
  const outcomes: Outcome[] = []
  const send = (pdu: RequestPdu = submit()) => made.session.request(pdu, (outcome) => outcomes.push(outcome))
  return { ...made, outcomes, send }
}
