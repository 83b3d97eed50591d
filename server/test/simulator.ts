import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach } from 'vitest'
import { Secret } from '../src/config/secret.ts'
import { readRawFile } from '../src/simulator/raw-file.ts'
import { type Simulator, startSimulator } from '../src/simulator/simulator.ts'
import { type ConnectOptions, connect } from '../src/smpp/client.ts'
import { commandStatus } from '../src/smpp/pdu/command-status.ts'
import { type DeliverSm, type SubmitSm, type SubmitSmResp, submitSm } from '../src/smpp/pdu/pdu.ts'
import { isReceipt, parseReceipt } from '../src/smpp/pdu/receipt-text.ts'
import type { Session } from '../src/smpp/session.ts'
import type { Certificate } from './certificates.ts'

/** A client bound to the simulator, and the PDUs delivered to it. */
export type Client = { session: Session; delivered: DeliverSm[] }

/** `responseStatus`: command_status of the response to each delivered PDU, ESME_ROK by default; null sends no response. */
export type ClientOptions = Partial<ConnectOptions> & { responseStatus?: number | null }

/** Fields of the control API's responses that tests read. */
type ControlBody = {
  owed: number
  accepted: number
  binds: { id: number }[]
  messages: { direction: string; content: string; complete: boolean }[]
}

/** Starts a new simulator in this process for each test, with zero latency and delay, and provides clients for it. */
export function useSimulator({
  tls,
  rawFileBytes = Number.POSITIVE_INFINITY,
}: {
  tls?: Certificate
  rawFileBytes?: number
} = {}) {
  let folder = ''
  let simulator: Simulator
  const sessions: Session[] = []
  const rawPath = () => join(folder, 'submits.raw')

  const start = async () => {
    const address = { host: '127.0.0.1', port: 0, tls: false, window: 100, mps: undefined, binds: 1 }
    const ports = { smppPort: 0, controlPort: 0, controlUrl: undefined }
    const file = join(folder, 'tls.pem')
    if (tls) await writeFile(file, tls.cert + tls.key)
    const listen = tls ? { ...ports, tls: { port: 0, file } } : ports
    simulator = await startSimulator({
      config: {
        simulator: { latencyMs: 0, receiptDelayMs: 0, ...listen, rawFile: rawPath(), rawFileBytes },
        smpp: { ...address, systemId: 'carillon', password: new Secret('swordfish') },
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

  return {
    rawPath,
    start,
    stop: () => simulator.stop(),
    controlPort: () => simulator.controlPort,
    smppPort: () => simulator.smppPort,
    tlsPort: () => simulator.tlsPort,

    async bind({ responseStatus = commandStatus.ESME_ROK, ...options }: ClientOptions = {}): Promise<Client> {
      const session = await connect({
        host: '127.0.0.1',
        port: simulator.smppPort,
        system_id: 'carillon',
        password: 'swordfish',
        ...options,
      })
      sessions.push(session)
      const delivered: DeliverSm[] = []
      session.on('request', (pdu) => {
        if (pdu.command === 'deliver_sm') delivered.push(pdu)
        if (responseStatus !== null) session.respond(pdu, { command_status: responseStatus })
      })
      return { session, delivered }
    },

    raw: () => [...readRawFile(rawPath())],

    async control(method: string, path: string, body?: unknown) {
      const response = await fetch(`http://127.0.0.1:${simulator.controlPort}${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      return { status: response.status, body: (await response.json()) as ControlBody }
    },
  }
}

/** Makes a submit_sm of one part that requests a receipt and has a reference. */
export function textTo(destination_addr: string, fields: Partial<SubmitSm> = {}): SubmitSm {
  return submitSm({
    source_addr: '12345',
    destination_addr,
    short_message: Buffer.from('Hello there'),
    registered_delivery: 1,
    tlvs: { user_message_reference: 4711 },
    ...fields,
  })
}

export async function submit({ session }: Client, pdu: SubmitSm): Promise<SubmitSmResp> {
  return (await session.send(pdu)) as SubmitSmResp
}

export const receiptsOf = ({ delivered }: Client) => delivered.filter(isReceipt).map((pdu) => parseReceipt(pdu))

export const mosOf = ({ delivered }: Client) => delivered.filter((pdu) => !isReceipt(pdu))
