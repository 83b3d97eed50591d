// Delivery receipts: a deliver_sm whose esm_class says so, with the facts in TLVs, in a text whose layout is each
// vendor's own (SMPP 3.4 appendix B shows one), or in both.

import { dataCoding, esmClass, messageState } from './flags.ts'
import type { DeliverSm } from './pdu.ts'

export type ReceiptStat = 'ENROUTE' | 'DELIVRD' | 'EXPIRED' | 'DELETED' | 'UNDELIV' | 'ACCEPTD' | 'UNKNOWN' | 'REJECTD'

export type Receipt = {
  message_id: string
  stat: ReceiptStat
  err?: string
  submit_date?: string
  done_date?: string
  text?: string
}

const statOfState = new Map<number, ReceiptStat>([
  [messageState.ENROUTE, 'ENROUTE'],
  [messageState.DELIVERED, 'DELIVRD'],
  [messageState.EXPIRED, 'EXPIRED'],
  [messageState.DELETED, 'DELETED'],
  [messageState.UNDELIVERABLE, 'UNDELIV'],
  [messageState.ACCEPTED, 'ACCEPTD'],
  [messageState.UNKNOWN, 'UNKNOWN'],
  [messageState.REJECTED, 'REJECTD'],
])

// The first letters decide, so that DELIVERED, UNDELIVERABLE and REJECTED are understood as well as the spec's seven.
const statPrefixes: [string, ReceiptStat][] = [
  ['DELIV', 'DELIVRD'],
  ['EXPIR', 'EXPIRED'],
  ['DELET', 'DELETED'],
  ['UNDEL', 'UNDELIV'],
  ['FAIL', 'UNDELIV'],
  ['ACCEPT', 'ACCEPTD'],
  ['BUFFER', 'ENROUTE'],
  ['ENROUT', 'ENROUTE'],
  ['REJ', 'REJECTD'],
]

/** Whether a deliver_sm tells of the fate of a message of ours, final or on the way (§5.2.12), and is not an MO. */
export function isReceipt(pdu: DeliverSm): boolean {
  const type = pdu.esm_class & esmClass.typeMask
  return type === esmClass.receipt || type === esmClass.intermediateNotification
}

/**
 * What a receipt says: from the TLVs where they are there, else from the text, in whatever case, order and spacing.
 * Undefined when it names no message or no state. A state word of no known meaning reads as UNKNOWN; `message_id` and the
 * dates are as the SMSC wrote them.
 */
export function parseReceipt(pdu: DeliverSm): Receipt | undefined {
  const tlvs = pdu.tlvs
  const fields = readFields(receiptText(pdu))
  const message_id = tlvs?.receipted_message_id || fields.id
  const stat = statOfState.get(tlvs?.message_state ?? 0) ?? readStat(fields.stat)
  if (!message_id || !stat) return undefined
  const receipt: Receipt = { message_id, stat }
  // §5.3.2.31: one octet of network type, then the code.
  const code = tlvs?.network_error_code
  const err = code?.length === 3 ? String(code.readUInt16BE(1)).padStart(3, '0') : fields.err
  if (err) receipt.err = err
  if (fields.submitdate) receipt.submit_date = fields.submitdate
  if (fields.donedate) receipt.done_date = fields.donedate
  if (fields.text !== undefined) receipt.text = fields.text
  return receipt
}

function receiptText(pdu: DeliverSm): string {
  let bytes = pdu.short_message.length > 0 ? pdu.short_message : pdu.tlvs?.message_payload
  if (!bytes) return ''
  if (pdu.esm_class & esmClass.udhi) bytes = bytes.subarray(1 + (bytes[0] ?? 0))
  if (pdu.data_coding !== dataCoding.ucs2 || bytes.length % 2 !== 0) return bytes.toString('latin1')
  return Buffer.from(bytes).swap16().toString('utf16le')
}

type Fields = { id?: string; stat?: string; err?: string; submitdate?: string; donedate?: string; text?: string }

const key = /(?<=^|[\s;,|])(id|sub|dlvrd|submit[ _-]?date|done[ _-]?date|stat(?:us)?|err(?:or)?|text)\s*[:=]/gi

// A value reaches to the next key, so an empty one does not swallow its neighbour; `text` reaches to the end, whatever
// the handset's owner may have been told in it.
function readFields(text: string): Fields {
  const fields: Record<string, string> = {}
  let name = ''
  let from = 0
  key.lastIndex = 0
  for (let match = key.exec(text); match && name !== 'text'; match = key.exec(text)) {
    if (name) fields[name] ??= tidy(text.slice(from, match.index))
    name = keyName(match[1] as string)
    from = key.lastIndex
  }
  if (name === 'text') fields.text ??= text.slice(from)
  else if (name) fields[name] ??= tidy(text.slice(from))
  return fields
}

function keyName(spelled: string): string {
  const name = spelled.toLowerCase().replace(/[ _-]/, '')
  return name === 'status' ? 'stat' : name === 'error' ? 'err' : name
}

function tidy(value: string): string {
  return value.replace(/[\s;,|\0]+$/, '').trimStart()
}

function readStat(word: string | undefined): ReceiptStat | undefined {
  if (!word) return undefined
  const upper = word.toUpperCase()
  return statPrefixes.find(([prefix]) => upper.startsWith(prefix))?.[1] ?? 'UNKNOWN'
}

/**
 * One spelling for the ids that an SMSC spells in several: lower case, no leading zeros ("0" when nothing else is left).
 * Hex in one place and decimal in the other is not settled here: that is a setting of the connection.
 */
export function normaliseMessageId(id: string): string {
  return id
    .trim()
    .toLowerCase()
    .replace(/^0+(?=.)/, '')
}

export type ReceiptToFormat = {
  message_id: string
  stat: ReceiptStat
  submitDate: Date
  doneDate: Date
  err?: string
  text?: string
}

/** The layout of appendix B, with dates in UTC to the minute and the first 20 characters of the text. */
export function formatReceipt({
  message_id,
  stat,
  submitDate,
  doneDate,
  err = '000',
  text = '',
}: ReceiptToFormat): Buffer {
  const delivered = stat === 'DELIVRD' ? '001' : '000'
  return Buffer.from(
    `id:${message_id} sub:001 dlvrd:${delivered} submit date:${receiptDate(submitDate)} ` +
      `done date:${receiptDate(doneDate)} stat:${stat} err:${err} text:${text.slice(0, 20)}`,
    'latin1',
  )
}

// A busy SMSC formats many receipts of the same minute: spelling it once halves the cost of a receipt.
let spelledMinute = Number.NaN
let spelling = ''

function receiptDate(date: Date): string {
  const minute = Math.floor(date.getTime() / 60_000)
  if (minute !== spelledMinute) {
    spelling = date.toISOString().replace(/\D/g, '').slice(2, 12)
    spelledMinute = minute
  }
  return spelling
}
