// Speed of our SMPP codec and session, compared with npm `smpp`: `node bench/smpp.ts`. Client and server run in one process
// over TCP on loopback, so one core does the work of both.

import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import npm from 'smpp'
import { connect } from '../server/src/smpp/client.ts'
import { decodePdu, encodePdu } from '../server/src/smpp/pdu/codec.ts'
import { deliverSm, type RequestPdu, type SubmitSm, submitSm } from '../server/src/smpp/pdu/pdu.ts'
import { formatReceipt } from '../server/src/smpp/pdu/receipt-format.ts'
import { parseReceipt } from '../server/src/smpp/pdu/receipt-text.ts'
import { createServer } from '../server/src/smpp/server.ts'
import type { Session } from '../server/src/smpp/session.ts'

const WINDOW = 100
const BINDS = 4
const ROUNDS = 3

const text = Buffer.from(
  'Dinner for the shelter is on Saturday at 6. Can you bring a dish? Reply YES. Reply STOP to quit.',
)
const from = '12345'
const to = '12065550199'
const now = new Date('2026-01-02T15:30:00Z')

const submit = () =>
  submitSm({
    source_addr: from,
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: to,
    registered_delivery: 1,
    short_message: text,
    tlvs: { user_message_reference: 1 },
  })

const receiptText = (message_id: string) =>
  formatReceipt({ message_id, stat: 'DELIVRD', submitDate: now, doneDate: now, text: 'Dinner for the shelt' })

const receiptFor = (request: SubmitSm, message_id: string) =>
  deliverSm({
    source_addr: request.destination_addr,
    destination_addr: request.source_addr,
    esm_class: 4,
    short_message: receiptText(message_id),
    tlvs: { receipted_message_id: message_id, message_state: 2 },
  })

type Row = { operation: string; unit: string; ours: number; npm: number }

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number

/** Returns calls per second, the median of the rounds after a warm-up. */
function measure(count: number, run: () => unknown): number {
  for (let i = 0; i < count / 4; i++) run()
  const rates = Array.from({ length: ROUNDS }, () => {
    const start = performance.now()
    for (let i = 0; i < count; i++) run()
    return (count / (performance.now() - start)) * 1000
  })
  return median(rates)
}

function benchCodec(): Row[] {
  const pdu = submit()
  const bytes = encodePdu(pdu)
  const receipt = encodePdu(receiptFor(pdu, '00c0ffee'))
  const decodedReceipt = decodePdu(receipt)
  const npmPdu = new npm.PDU(bytes)
  const count = 300_000
  return [
    {
      operation: 'encode submit_sm',
      unit: 'PDUs/s',
      ours: measure(count, () => encodePdu(pdu)),
      npm: measure(count / 5, () => new npm.PDU('submit_sm', { ...npmPdu, short_message: text }).toBuffer()),
    },
    {
      operation: 'decode submit_sm',
      unit: 'PDUs/s',
      ours: measure(count, () => decodePdu(bytes)),
      npm: measure(count / 5, () => new npm.PDU(bytes)),
    },
    {
      operation: 'decode deliver_sm (receipt)',
      unit: 'PDUs/s',
      ours: measure(count, () => decodePdu(receipt)),
      npm: measure(count / 5, () => new npm.PDU(receipt)),
    },
    {
      operation: 'parse the text of a receipt',
      unit: 'receipts/s',
      ours: measure(count, () => decodedReceipt.command === 'deliver_sm' && parseReceipt(decodedReceipt)),
      npm: Number.NaN,
    },
  ]
}

/** Submits `count` texts over our sessions with full windows; resolves when all responses, and receipts if any, arrived. */
async function runOurs(count: number, receipts: boolean): Promise<number> {
  let nextId = 0
  const server = createServer({
    window: WINDOW,
    onBind: () => ({ command_status: 0, system_id: 'bench' }),
    onSession: (session) => serveOurs(session, receipts, () => (++nextId).toString(16)),
  })
  const port = await server.listen(0, '127.0.0.1')
  const account = { host: '127.0.0.1', port, system_id: 'bench', password: 'bench', window: WINDOW }
  const sessions = await Promise.all(Array.from({ length: BINDS }, () => connect(account)))
  const rate = await timed(count, (finished) => {
    let sent = 0
    let open = receipts ? count * 2 : count
    const countDown = () => {
      if (--open === 0) finished()
    }
    for (const session of sessions) {
      session.on('request', (request: RequestPdu) => {
        session.respond(request)
        countDown()
      })
      const fill = () => {
        for (; session.free > 0 && sent < count; sent++) {
          session.request(submit(), (outcome) => {
            if (outcome.kind !== 'response' || outcome.pdu.command_status !== 0) throw new Error('submit_sm failed')
            countDown()
          })
        }
      }
      session.on('drain', fill)
      fill()
    }
  })
  await Promise.all(sessions.map((session) => session.unbind()))
  await server.close()
  return rate
}

function serveOurs(session: Session, receipts: boolean, makeId: () => string) {
  const owed: [SubmitSm, string][] = []
  const deliver = () => {
    while (session.free > 0 && owed.length > 0) {
      const [request, id] = owed.pop() as [SubmitSm, string]
      session.request(receiptFor(request, id), () => {})
    }
  }
  session.on('request', (request: RequestPdu) => {
    const message_id = makeId()
    session.respond(request, { message_id })
    if (!receipts || request.command !== 'submit_sm') return
    owed.push([request, message_id])
    deliver()
  })
  session.on('drain', deliver)
}

/** Like `runOurs`, with npm `smpp` at both ends. npm `smpp` has no window and no TCP_NODELAY, so this code adds both. */
async function runNpm(count: number, receipts: boolean): Promise<number> {
  let nextId = 0
  const server = npm.createServer((session) => {
    session.socket.setNoDelay(true)
    session.on('error', () => {})
    session.on('bind_transceiver', (pdu: npm.PDU) => session.send(pdu.response()))
    session.on('submit_sm', (pdu: npm.PDU) => {
      const message_id = (++nextId).toString(16)
      session.send(pdu.response({ message_id }))
      if (!receipts) return
      session.deliver_sm(
        {
          source_addr: pdu.destination_addr,
          destination_addr: pdu.source_addr,
          esm_class: 4,
          short_message: receiptText(message_id),
          receipted_message_id: message_id,
          message_state: 2,
        },
        () => {},
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const sessions = await Promise.all(Array.from({ length: BINDS }, () => bindNpm(port)))
  const rate = await timed(count, (finished) => {
    let sent = 0
    let open = receipts ? count * 2 : count
    for (const session of sessions) {
      const countDown = () => {
        if (--open === 0) finished()
      }
      session.on('deliver_sm', (pdu: npm.PDU) => {
        session.send(pdu.response())
        countDown()
      })
      const next = () => {
        if (sent++ >= count) return
        session.submit_sm(
          {
            source_addr: from,
            dest_addr_ton: 1,
            dest_addr_npi: 1,
            destination_addr: to,
            registered_delivery: 1,
            short_message: text,
            user_message_reference: 1,
          },
          () => {
            next()
            countDown()
          },
        )
      }
      for (let i = 0; i < WINDOW; i++) next()
    }
  })
  for (const session of sessions) session.destroy()
  await new Promise((resolve) => server.close(resolve))
  return rate
}

function bindNpm(port: number): Promise<npm.Session> {
  return new Promise((resolve) => {
    const session = npm.connect({ host: '127.0.0.1', port }, () => {
      session.socket.setNoDelay(true)
      session.bind_transceiver({ system_id: 'bench', password: 'bench' }, () => resolve(session))
    })
    session.on('error', () => {})
  })
}

async function timed(count: number, run: (finished: () => void) => void): Promise<number> {
  const start = performance.now()
  await new Promise<void>((resolve) => run(resolve))
  return (count / (performance.now() - start)) * 1000
}

/** Alternates between both libraries, so that other load on the machine affects both. */
async function benchSession(operation: string, receipts: boolean): Promise<Row> {
  await runOurs(50_000, receipts)
  await runNpm(5_000, receipts)
  const ours: number[] = []
  const npmRates: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await runOurs(receipts ? 200_000 : 400_000, receipts))
    npmRates.push(await runNpm(30_000, receipts))
  }
  return { operation, unit: 'messages/s', ours: median(ours), npm: median(npmRates) }
}

/** Measures, prints a table and a line of JSON, and returns the rows. */
export async function run(): Promise<Row[]> {
  const rows = [
    ...benchCodec(),
    await benchSession('submit_sm and its response', false),
    await benchSession('submit_sm, its response and a receipt', true),
  ]
  const cells = rows.map(({ operation, unit, ours, npm: theirs }) => ({
    operation,
    unit,
    ours: Math.round(ours).toLocaleString('en'),
    'npm smpp': Number.isNaN(theirs) ? '' : Math.round(theirs).toLocaleString('en'),
    ratio: Number.isNaN(theirs) ? '' : (ours / theirs).toFixed(1),
  }))
  console.log(`SMPP, window ${WINDOW} x ${BINDS} binds, both ends in one process, median of ${ROUNDS} rounds`)
  console.table(cells)
  const cores = availableParallelism()
  console.log(JSON.stringify({ bench: 'smpp', node: process.version, cores, window: WINDOW, binds: BINDS, rows }))
  return rows
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run()
