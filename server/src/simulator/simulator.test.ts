import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { waitFor } from '../../test/wait-for.ts'
import { Secret } from '../config/secret.ts'
import { BindError, type ConnectOptions, connect } from '../smpp/client.ts'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { type DeliverSm, type SubmitSm, type SubmitSmResp, submitSm } from '../smpp/pdu/pdu.ts'
import { isReceipt, parseReceipt } from '../smpp/pdu/receipt-text.ts'
import type { Session } from '../smpp/session.ts'
import { decodeShortMessage, encodeParts } from '../sms/parts.ts'
import { type RawRecord, readRawFile } from './raw-file.ts'
import { type Simulator, startSimulator } from './simulator.ts'

let folder: string
let simulator: Simulator
const sessions: Session[] = []

const rawPath = () => join(folder, 'submits.raw')

async function start() {
  const password = new Secret('swordfish')
  const address = { host: '127.0.0.1', port: 0, tls: false, window: 100, mps: undefined, binds: 1 }
  simulator = await startSimulator({
    config: {
      simulator: {
        latencyMs: 0,
        receiptDelayMs: 0,
        smppPort: 0,
        controlPort: 0,
        controlUrl: undefined,
        rawFile: rawPath(),
      },
      smpp: { ...address, systemId: 'carillon', password },
    },
    log: pino({ level: 'silent' }),
  })
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'carillon-simulator-'))
  await start()
})

afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy()
  await simulator.stop()
  await rm(folder, { recursive: true, force: true })
})

type Client = { session: Session; delivered: DeliverSm[] }

/** A bound client that answers what is delivered to it, unless told not to. */
async function bindClient(options: Partial<ConnectOptions> & { answers?: number | 'nothing' } = {}): Promise<Client> {
  const { answers = status.ESME_ROK, ...rest } = options
  const session = await connect({
    host: '127.0.0.1',
    port: simulator.smppPort,
    system_id: 'carillon',
    password: 'swordfish',
    ...rest,
  })
  sessions.push(session)
  const delivered: DeliverSm[] = []
  session.on('request', (pdu) => {
    if (pdu.command === 'deliver_sm') delivered.push(pdu)
    if (answers !== 'nothing') session.respond(pdu, { command_status: answers })
  })
  return { session, delivered }
}

const phone = (lastFour: string) => `121255501${lastFour.slice(-2)}`

function text(destination: string, fields: Partial<SubmitSm> = {}) {
  return submitSm({
    source_addr: '12345',
    destination_addr: destination,
    short_message: Buffer.from('Hello there'),
    registered_delivery: 1,
    tlvs: { user_message_reference: 4711 },
    ...fields,
  })
}

const submit = async ({ session }: Client, pdu: SubmitSm) => (await session.ask(pdu)) as SubmitSmResp
const receiptsOf = ({ delivered }: Client) => delivered.filter(isReceipt).map((pdu) => parseReceipt(pdu))
const mosOf = ({ delivered }: Client) => delivered.filter((pdu) => !isReceipt(pdu))

async function raw(): Promise<RawRecord[]> {
  const records: RawRecord[] = []
  for await (const record of readRawFile(rawPath())) records.push(record)
  return records
}

async function control(method: string, path: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${simulator.controlPort}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  return { status: response.status, body: (await response.json()) as Record<string, never> }
}

describe('fates', () => {
  test('any number is delivered: an id, a receipt with that id, and a line in the raw file', async () => {
    const client = await bindClient()
    const response = await submit(client, text('12125550199'))
    expect(response.command_status).toBe(status.ESME_ROK)
    const [receipt] = await waitFor(() => (client.delivered.length > 0 ? receiptsOf(client) : undefined))
    expect(receipt).toMatchObject({ message_id: response.message_id, stat: 'DELIVRD', err: '000', text: 'Hello there' })
    expect(client.delivered[0]).toMatchObject({
      source_addr: '12125550199',
      destination_addr: '12345',
      tlvs: { receipted_message_id: response.message_id, message_state: 2, user_message_reference: 4711 },
    })
    expect(await raw()).toEqual([
      {
        time: expect.any(Number),
        smscId: response.message_id,
        destination: '12125550199',
        source: '12345',
        esmClass: 0,
        dataCoding: 0,
        registeredDelivery: 1,
        userMessageReference: 4711,
        shortMessage: Buffer.from('Hello there').toString('hex'),
      },
    ])
  })
})
