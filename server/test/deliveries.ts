import { beforeEach } from 'vitest'
import { Meter } from '../src/gateway/meter.ts'
import { Deliveries } from '../src/gateway/receive/deliveries.ts'
import { Recorder } from '../src/gateway/submit/recorder.ts'
import { interpretInbound } from '../src/inbound/inbound.ts'
import { ReceiptBatcher } from '../src/receipts/receipts.ts'
import { decodePdu } from '../src/smpp/pdu/codec.ts'
import type { DeliverSm } from '../src/smpp/pdu/pdu.ts'
import type { Session } from '../src/smpp/session.ts'
import type { ResponseFields } from '../src/smpp/session.types.ts'
import { useDatabase } from './database.ts'
import { pduBytes } from './golden-pdus.ts'
import { make } from './make.ts'
import { makeRuntime } from './runtime.ts'
import { waitFor } from './wait-for.ts'

export const phone = 2_065_560_001

export type Octets = {
  source?: string
  /** The default is the short code of the test. */
  destination?: string
  esmClass?: number
  dataCoding?: number
  text?: string | Buffer
  /** The default is the length of the text. */
  smLength?: number
  /** Octets behind the text, in hexadecimal. */
  after?: string
  sequence?: number
}

const octet = (value: number) => value.toString(16).padStart(2, '0')
const address = (value: string) => `${Buffer.from(value, 'latin1').toString('hex')}00`

/** Returns the octets of a deliver_sm as a carrier with its own idea of the protocol may write them. */
export function deliverBytes(given: Octets & { destination: string }): Buffer {
  const text = Buffer.from(given.text ?? '')
  return pduBytes(
    '00000005',
    '00000000',
    (given.sequence ?? 7).toString(16).padStart(8, '0'),
    `00 01 01 ${address(given.source ?? `1${phone}`)} 03 00 ${address(given.destination)}`,
    `${octet(given.esmClass ?? 0)} 00 00 00 00 00 00 ${octet(given.dataCoding ?? 0)} 00`,
    octet(given.smLength ?? text.length) + text.toString('hex') + (given.after ?? ''),
  )
}

/** Returns a TLV in hexadecimal. */
export function tlv(tag: string, value: string | Buffer): string {
  const octets = Buffer.from(value)
  return `${tag}${octets.length.toString(16).padStart(4, '0')}${octets.toString('hex')}`
}

/** The columns of a connection that the handler of deliver_sm uses. */
export const sourceOf = (connectionId: number) => ({
  id: connectionId,
  name: 'Cedar SMS',
  charset: 'gsm7' as const,
  errorMap: {},
  receiptIdForm: 'any' as const,
})

/**
 * Returns a handler of deliver_sm on a database with one connection, one short code and one list, inside a transaction that
 * is rolled back after each test.
 */
export function useDeliveries() {
  const database = useDatabase()
  const warnings: { fields: Record<string, unknown>; message: string }[] = []
  let deliveries: Deliveries
  let shortCode: string
  let connectionId: number
  let list: Awaited<ReturnType<typeof make.list>>
  let stored = 0
  let sequence = 100

  const warn = (fields: Record<string, unknown>, message: string) => warnings.push({ fields, message })
  const rt = () => {
    const made = makeRuntime({ db: database.db })
    return { ...made, log: Object.assign(Object.create(made.log), { warn }) as typeof made.log }
  }

  beforeEach(async () => {
    warnings.length = 0
    const { db } = database
    const account = await make.account(db)
    const code = await make.shortCode(db, { accountId: account.id })
    shortCode = code.code
    list = await make.list(db, { accountId: account.id, shortCodeId: code.id })
    connectionId = (await make.connection(db, { name: 'Cedar SMS' })).id
    const runtime = rt()
    deliveries = new Deliveries(
      runtime,
      new Recorder(runtime, () => 2),
      new ReceiptBatcher(runtime, () => 2),
      new Meter(runtime.metrics, () => []),
      () => stored++,
    )
  })

  /** Handles a PDU and all MOs that wait, and returns the command_status of the response. */
  async function receive(given: Buffer | Octets, session?: Session): Promise<number> {
    const bytes = Buffer.isBuffer(given)
      ? given
      : deliverBytes({ destination: shortCode, sequence: sequence++, ...given })
    const pdu = decodePdu(bytes) as DeliverSm
    const responses: number[] = []
    const respond = (_: unknown, fields?: ResponseFields) => responses.push(fields?.command_status ?? 0)
    const before = stored
    deliveries.handle(sourceOf(connectionId), Object.assign(session ?? ({ bound: true } as Session), { respond }), pdu)
    await waitFor(() => responses.length > 0 || stored > before, { what: 'the deliver_sm to be stored' })
    while (await interpretInbound(rt()));
    await deliveries.respondToOptOuts()
    await waitFor(() => responses.length > 0, { what: 'a response' })
    return responses[0] as number
  }

  return {
    get db() {
      return database.db
    },
    get shortCode() {
      return shortCode
    },
    get connectionId() {
      return connectionId
    },
    get list() {
      return list
    },
    warnings,
    receive,

    /** Returns the MOs in order of arrival. */
    mos: () =>
      database.db.many<{ phone: number; content: string; kind: string | null }>(
        'mos',
        'select phone, content, kind from inbound_messages order by id',
      ),

    /** Returns whether the short code, by default that of the test, must not text the phone any more. */
    async isBlocked(code = shortCode, who = phone) {
      const blocks = `select from blocks b join short_codes s on s.id = b.short_code_id
                       where s.code = $1 and b.phone = $2`
      return (await database.db.many('blocks', blocks, [code, who])).length > 0
    },
  }
}
