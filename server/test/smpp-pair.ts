import { type Duplex, duplexPair } from 'node:stream'
import { Framer } from '../src/smpp/framer.ts'
import { decodePdu, encodePdu } from '../src/smpp/pdu/codec.ts'
import type { Pdu, RequestPdu } from '../src/smpp/pdu/pdu.ts'
import { bind } from '../src/smpp/pdu/pdu.ts'
import { Session, type SessionOptions } from '../src/smpp/session.ts'
import { FakeClock, settle } from './fake-clock.ts'

/** The far side of a session as bare bytes: says what it is told to, and remembers what it heard. */
export class RawPeer {
  readonly stream: Duplex
  readonly heard: Pdu[] = []
  /** Chunks as they came: writes of the session. */
  chunks = 0
  ended = false
  /** Does not close its side when the session closes. */
  staysOn = false

  constructor(stream: Duplex) {
    this.stream = stream
    const framer = new Framer()
    stream.on('data', (chunk: Buffer) => {
      this.chunks++
      for (const frame of framer.push(chunk)) this.heard.push(decodePdu(frame))
    })
    stream.on('end', () => {
      this.ended = true
      if (!this.staysOn) stream.end()
    })
  }

  async say(...pdus: (Pdu | Buffer)[]): Promise<void> {
    this.stream.write(Buffer.concat(pdus.map((pdu) => (Buffer.isBuffer(pdu) ? pdu : encodePdu(pdu)))))
    await settle()
  }

  /** What was heard since the last time. */
  take(): Pdu[] {
    return this.heard.splice(0)
  }
}

/** A session whose far side is raw bytes, on a clock that stands still. */
export function makeSession(options: SessionOptions = {}) {
  const [near, far] = duplexPair()
  const clock = new FakeClock()
  const session = new Session(near, { clock, ...options })
  const closes: string[] = []
  session.on('close', (reason) => closes.push(reason))
  return { session, clock, peer: new RawPeer(far), stream: near, closes }
}

/** Two sessions face to face, bound as ESME and SMSC; every request that the SMSC gets is kept for the test to answer. */
export async function makeBoundPair(
  options: SessionOptions = {},
  kind: 'transceiver' | 'transmitter' | 'receiver' = 'transceiver',
) {
  const [near, far] = duplexPair()
  const clock = new FakeClock()
  const esme = new Session(near, { clock, ...options })
  const smsc = new Session(far, { clock, ...options })
  const asked: RequestPdu[] = []
  smsc.once('request', (request) => {
    smsc.respond(request, { system_id: 'smsc' })
    smsc.on('request', (submit) => asked.push(submit))
  })
  await esme.send(bind(`bind_${kind}`, { system_id: 'esme', password: 'secret' }))
  return { esme, smsc, clock, asked }
}
