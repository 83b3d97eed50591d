// Sends 100,000 mutated PDUs from a fixed seed through framer, codec and session: for any input of a peer, the process
// continues, responds in whole PDUs, and uses no more memory.

import { type Duplex, duplexPair } from 'node:stream'
import v8 from 'node:v8'
import vm from 'node:vm'
import { expect, test } from 'vitest'
import { Framer } from './framer.ts'
import { decodePdu, encodePdu } from './pdu/codec.ts'
import { type Command, commands } from './pdu/commands.ts'
import { toHandset } from './pdu/destinations.ts'
import { bind, blankPdu, deliverSm, type Pdu, submitSm } from './pdu/pdu.ts'
import { Session } from './session.ts'

const MUTANTS = 100_000
const PER_WRITE = 50
/** The number of PDUs limits the test; this timeout only ends a test that hangs, also on a busy machine. */
const DEADLINE_MS = 300_000

/** Collects garbage, so that only reachable objects remain. */
v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc') as () => void

function randomFrom(seed: number) {
  let state = seed >>> 0
  return (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % limit
  }
}

const tlvs = {
  user_message_reference: 7,
  message_payload: Buffer.from('payload of a text'),
  receipted_message_id: '1a2b',
  unknown: [{ tag: 0x1400, value: Buffer.from('vendor') }],
}

const handset = { dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: '12065550100' }

/** One PDU of every command, with all its fields. */
const seeds: Buffer[] = (Object.keys(commands) as Command[]).map((command) => {
  const pdu = { ...blankPdu(command), sequence_number: 2, ...(commands[command].tlvs ? { tlvs } : {}) }
  if ('short_message' in pdu) pdu.short_message = Buffer.from('a short message')
  if ('dest_address' in pdu) pdu.dest_address = [toHandset('12065550100'), { dest_flag: 2, dl_name: 'friends' }]
  if ('unsuccess_sme' in pdu) pdu.unsuccess_sme = [{ ...handset, error_status_code: 0x0b }]
  if ('message_id' in pdu) pdu.message_id = '1a2b'
  return encodePdu(pdu as Pdu)
})

function mutate(random: (below: number) => number): Buffer {
  const seed = seeds[random(seeds.length)] as Buffer
  const other = seeds[random(seeds.length)] as Buffer
  let bytes = Buffer.from(seed)
  const kind = random(8)
  // cut short, extended with a piece of another PDU, or unchanged
  if (kind === 0) bytes = bytes.subarray(0, 16 + random(bytes.length - 15))
  if (kind === 1) bytes = Buffer.concat([bytes, other.subarray(16 + random(other.length - 15))])
  for (let flips = random(5); flips > 0; flips--) {
    const at = 4 + random(bytes.length - 4)
    bytes[at] = [0x00, 0xff, 0x7f, 0x80, random(256)][random(5)] as number
  }
  // sequence numbers in flight and unknown ones, and sometimes an impossible length
  bytes.writeUInt32BE(random(200), 12)
  bytes.writeUInt32BE(bytes.length)
  if (random(400) === 0) bytes.writeUInt32BE(random(2) === 0 ? random(16) : 0x7fff_0000)
  return bytes
}

type Counts = { received: number; requests: number; closes: number; sessions: number; outcomes: number }

/** Makes a bound session, and returns it with the far end of its stream. */
async function openSession(side: 'esme' | 'smsc', counts: Counts): Promise<{ session: Session; far: Duplex }> {
  const [near, far] = duplexPair()
  const session = new Session(near)
  counts.sessions++
  const framer = new Framer()
  far.on('data', (chunk: Buffer) => {
    for (const frame of framer.push(chunk)) {
      decodePdu(frame)
      counts.received++
    }
  })
  far.on('end', () => far.end())
  session.on('close', () => counts.closes++)
  if (side === 'smsc') {
    session.once('request', (request) => session.respond(request, { system_id: 'smsc' }))
    far.write(encodePdu({ ...bind('bind_transceiver', { system_id: 'a', password: 'b' }), sequence_number: 1 }))
  } else {
    session.request(bind('bind_transceiver', { system_id: 'a', password: 'b' }), () => {})
    far.write(encodePdu({ ...blankPdu('bind_transceiver_resp'), sequence_number: 1 }))
  }
  await turn()
  session.on('request', (request) => {
    counts.requests++
    session.respond(request, { message_id: '1' })
  })
  return { session, far }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

function fillWindow(session: Session, side: 'esme' | 'smsc', counts: Counts) {
  const text = { source_addr: '12345', destination_addr: '12065550100', short_message: Buffer.from('hi') }
  while (session.free > 80) {
    session.request(side === 'esme' ? submitSm(text) : deliverSm(text), () => counts.outcomes++)
  }
}

async function flood(random: (below: number) => number, mutants: number, counts: Counts) {
  for (const side of ['esme', 'smsc'] as const) {
    let { session, far } = await openSession(side, counts)
    for (let sent = 0; sent < mutants / 2; sent += PER_WRITE) {
      if (!session.bound) ({ session, far } = await openSession(side, counts))
      fillWindow(session, side, counts)
      far.write(Buffer.concat(Array.from({ length: PER_WRITE }, () => mutate(random))))
      await turn()
    }
    session.destroy()
  }
}

/** Collects twice, with a pause between: a buffer is freed in the collection after that of its stream. */
async function memoryInUse(): Promise<number> {
  collectGarbage()
  await new Promise((resolve) => setTimeout(resolve, 20))
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test('100,000 mutated PDUs cause no crash, no partial responses and no growth of memory', {
  timeout: DEADLINE_MS,
}, async () => {
  const random = randomFrom(0x5eed)
  const counts: Counts = { received: 0, requests: 0, closes: 0, sessions: 0, outcomes: 0 }
  await flood(random, MUTANTS * 0.3, counts)
  const before = await memoryInUse()
  await flood(random, MUTANTS * 0.7, counts)
  const grown = (await memoryInUse()) - before
  // the input reached all parts of the code
  expect(counts.requests).toBeGreaterThan(5_000)
  expect(counts.received).toBeGreaterThan(20_000)
  expect(counts.outcomes).toBeGreaterThan(1_000)
  expect(counts.closes).toBe(counts.sessions)
  // a leak of 30 octets for each of these 70,000 PDUs would exceed this
  expect(grown).toBeLessThan(2 * 1024 * 1024)
})
