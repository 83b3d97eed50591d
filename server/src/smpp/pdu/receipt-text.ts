// Delivery receipts: a deliver_sm marked by its esm_class, with its fields in TLVs, in a text whose layout differs by vendor
// (SMPP 3.4 appendix B shows one), or in both.

import { dataCoding, esmClass, messageState } from './flags.ts'
import { type DeliverSm, textOctets } from './pdu.ts'
import { type Tlvs, tlvTable } from './tlvs.ts'

/** The eight states of SMPP, two that carriers add for trouble with our account or their system, and OTHER for an unknown word. */
export type ReceiptStat =
  | 'ENROUTE'
  | 'DELIVRD'
  | 'EXPIRED'
  | 'DELETED'
  | 'UNDELIV'
  | 'ACCEPTD'
  | 'UNKNOWN'
  | 'REJECTD'
  | 'NOCRED'
  | 'SYSERR'
  | 'OTHER'

export type Receipt = {
  message_id: string
  stat: ReceiptStat
  /** The carrier's own word in upper case, if it is not `stat`. */
  word?: string
  err?: string
  submit_date?: string
  done_date?: string
  text?: string
}

/** The state word of a receipt's text for each message_state of a TLV or a query_sm_resp. */
export const statOfState: ReadonlyMap<number, ReceiptStat> = new Map<number, ReceiptStat>([
  [messageState.SCHEDULED, 'ENROUTE'],
  [messageState.ENROUTE, 'ENROUTE'],
  [messageState.DELIVERED, 'DELIVRD'],
  [messageState.EXPIRED, 'EXPIRED'],
  [messageState.DELETED, 'DELETED'],
  [messageState.UNDELIVERABLE, 'UNDELIV'],
  [messageState.ACCEPTED, 'ACCEPTD'],
  [messageState.UNKNOWN, 'UNKNOWN'],
  [messageState.REJECTED, 'REJECTD'],
])

// Matched by prefix, so that DELIVERED, UNDELIVERABLE and REJECTED are accepted as well as the spec's seven words.
const statPrefixes: [string, ReceiptStat][] = [
  ['DELIV', 'DELIVRD'],
  ['EXPIR', 'EXPIRED'],
  ['DELET', 'DELETED'],
  ['UNDEL', 'UNDELIV'],
  ['FAIL', 'UNDELIV'],
  ['ACCEPT', 'ACCEPTD'],
  ['BUFF', 'ENROUTE'],
  ['ENROUT', 'ENROUTE'],
  ['EN_ROUT', 'ENROUTE'],
  ['SCHED', 'ENROUTE'],
  ['QUEUE', 'ENROUTE'],
  ['PENDING', 'ENROUTE'],
  ['RETRY', 'ENROUTE'],
  ['SENT', 'ENROUTE'],
  ['SUBMIT', 'ENROUTE'],
  ['REJ', 'REJECTD'],
  ['UNKNOWN', 'UNKNOWN'],
  ['UNKNWN', 'UNKNOWN'],
  ['NOCRED', 'NOCRED'],
  ['NO_CRED', 'NOCRED'],
  ['NO CRED', 'NOCRED'],
  ['NO-CRED', 'NOCRED'],
  ['NOFUND', 'NOCRED'],
  ['INSUF', 'NOCRED'],
  ['SYSERR', 'SYSERR'],
  ['SYS_ERR', 'SYSERR'],
  ['SYSTEM', 'SYSERR'],
]

/**
 * Returns whether a deliver_sm is a receipt, final or intermediate (§5.2.12), and not an MO. Without the type of a receipt in its
 * esm_class it is one if it has a receipted_message_id and a state, because no handset can write that TLV, or if its text has
 * the id, the state and a date of appendix B.
 */
export function isReceipt(pdu: DeliverSm): boolean {
  const type = pdu.esm_class & esmClass.typeMask
  if (type === esmClass.receipt || isIntermediate(pdu)) return true
  const tlvs = pdu.tlvs
  const hasId = tlvs?.receipted_message_id !== undefined
  if (tlvs && hasId && stateIn(tlvs) !== undefined) return true
  if (!hasId && !textOctets(pdu).includes(COLON)) return false
  const fields = readReceiptText(pdu)
  if (hasId) return fields.stat !== undefined
  const stat = readStat(fields.stat)
  const hasDate = fields.submit_date !== undefined || fields.done_date !== undefined
  return Boolean(fields.id) && stat !== undefined && stat !== 'OTHER' && hasDate
}

const COLON = 0x3a

/** Returns whether the text of a PDU has fields of a receipt, or is empty, so that it is not the text of a person. */
export function hasReceiptText(pdu: DeliverSm): boolean {
  const octets = textOctets(pdu)
  // nearly every receipt starts with `id:`
  if (octets.length === 0 || octets.toString('latin1', 0, 3).toLowerCase() === 'id:') return true
  const fields = octets.includes(COLON) ? readReceiptText(pdu) : {}
  return fields.id !== undefined || fields.stat !== undefined
}

/** Returns whether the esm_class marks a receipt as intermediate: another one follows, whatever its state is. */
export function isIntermediate(pdu: DeliverSm): boolean {
  return (pdu.esm_class & esmClass.intermediateNotification) !== 0
}

/** States after which no other receipt follows, and which say what happened to the text. */
const definite: ReadonlySet<ReceiptStat | undefined> = new Set<ReceiptStat>([
  'DELIVRD',
  'EXPIRED',
  'DELETED',
  'UNDELIV',
  'REJECTD',
  'NOCRED',
  'SYSERR',
])

/**
 * Parses a receipt from its TLVs where present, otherwise from its text, in any case, order and spacing. A message_state that is
 * not final, or UNKNOWN, yields to a definite state in the text: some SMSCs always write the same one. Returns undefined
 * if it has no state. An unrecognized state word becomes OTHER; `message_id` (empty if missing) and the dates are as the
 * SMSC wrote them.
 */
export function parseReceipt(pdu: DeliverSm): Receipt | undefined {
  const tlvs = pdu.tlvs
  const fields = readReceiptText(pdu)
  const message_id = tlvs?.receipted_message_id || fields.id || ''
  const state = tlvs && stateIn(tlvs)
  const inTlv = state === undefined ? undefined : statOfState.get(state)
  const inText = readStat(fields.stat)
  const stat = definite.has(inTlv) || !definite.has(inText) ? (inTlv ?? inText) : inText
  if (!stat && state === undefined) return undefined
  const receipt: Receipt = { message_id, stat: stat ?? 'OTHER' }
  const word = (fields.stat || (stat ? '' : `STATE ${state}`)).toUpperCase()
  if (word && word !== receipt.stat) receipt.word = word
  const err = readErr(tlvs?.network_error_code, fields.err)
  if (err) receipt.err = err
  if (fields.submit_date) receipt.submit_date = fields.submit_date
  if (fields.done_date) receipt.done_date = fields.done_date
  if (fields.text !== undefined) receipt.text = fields.text
  return receipt
}

/** Returns the message_state, also of a TLV that has more octets than the specification allows. */
function stateIn(tlvs: Tlvs): number | undefined {
  if (tlvs.message_state !== undefined) return tlvs.message_state
  return tlvs.unknown?.find(({ tag, value }) => tag === tlvTable.message_state[0] && value.length > 0)?.value.at(-1)
}

/**
 * Returns the error code. §5.3.2.31 defines network_error_code as one octet of network type, then a code of two octets, but some
 * SMSCs write ASCII digits. A code of 0 reports no error of the network, so the `err` of the text is the better one.
 */
function readErr(code: Buffer | undefined, inText: string | undefined): string | undefined {
  if (!code || code.length === 0) return inText
  const digits = code.toString('latin1').replaceAll('\0', '')
  let err: string | undefined
  if (/^\d{2,6}$/.test(digits)) err = digits
  else if (code.length === 3 || code.length === 2) err = String(code.readUInt16BE(code.length - 2)).padStart(3, '0')
  return err === undefined || (Number(err) === 0 && inText) ? inText : err
}

/** Returns the octets of a receipt's text, without a user data header. */
function receiptOctets(pdu: DeliverSm): Buffer {
  const octets = textOctets(pdu)
  return pdu.esm_class & esmClass.udhi ? octets.subarray(1 + (octets[0] ?? 0)) : octets
}

const inBigEndian = (octets: Buffer) =>
  Buffer.from(octets.subarray(0, octets.length & ~1))
    .swap16()
    .toString('utf16le')

/** Returns the text of a receipt, as its data_coding says. */
export function receiptText(pdu: DeliverSm): string {
  const octets = receiptOctets(pdu)
  return pdu.data_coding === dataCoding.ucs2 ? inBigEndian(octets) : octets.toString('latin1')
}

/** Reads the fields of the text; if the data_coding yields none, in each other encoding, because carriers confuse them. */
function readReceiptText(pdu: DeliverSm): Fields {
  const fields = readFields(receiptText(pdu))
  if (fields.stat !== undefined || fields.id !== undefined) return fields
  const octets = receiptOctets(pdu)
  if (octets.length === 0) return fields
  for (const text of [octets.toString('latin1'), inBigEndian(octets), octets.toString('utf16le')]) {
    const others = readFields(text)
    if (others.stat !== undefined || others.id !== undefined) return others
  }
  return fields
}

type FieldName = 'id' | 'sub' | 'dlvrd' | 'submit_date' | 'done_date' | 'stat' | 'err' | 'text'
type Fields = { [F in FieldName]?: string }

const fieldNames = new Map<string, FieldName>([
  ['id', 'id'],
  ['sub', 'sub'],
  ['dlvrd', 'dlvrd'],
  ['submitdate', 'submit_date'],
  ['submit_date', 'submit_date'],
  ['donedate', 'done_date'],
  ['done_date', 'done_date'],
  ['stat', 'stat'],
  ['status', 'stat'],
  ['err', 'err'],
  ['error', 'err'],
  ['text', 'text'],
])

// Hand-written, from colon to colon, because it runs for every text sent: regular expressions took twice as long. A value
// ends at the next name, recognized or not, so it never contains the next field; `text` extends to the end, because it may
// contain anything.
function readFields(text: string): Fields {
  const fields: Fields = {}
  let name: FieldName | undefined
  let valueFrom = 0
  for (let colon = text.indexOf(':'); colon >= 0; colon = text.indexOf(':', colon + 1)) {
    let keyFrom = wordBefore(text, colon)
    let word = text.slice(keyFrom, colon).trimEnd().toLowerCase()
    if (word === 'date') {
      const dateFrom = keyFrom
      keyFrom = wordBefore(text, dateFrom)
      word = `${text.slice(keyFrom, dateFrom).trimEnd().toLowerCase()}_date`
    }
    const isKey = isLetter(word.charCodeAt(0)) && (keyFrom === 0 || isSeparator(text.charCodeAt(keyFrom - 1)))
    if (!isKey) continue
    if (name) fields[name] ??= tidy(text.slice(valueFrom, keyFrom))
    name = fieldNames.get(word)
    valueFrom = colon + 1
    if (name === 'text') break
  }
  if (name === 'text') fields.text = text.slice(valueFrom)
  else if (name) fields[name] ??= tidy(text.slice(valueFrom))
  return fields
}

/** Returns the start of the word that ends at `end`, ignoring trailing spaces. */
function wordBefore(text: string, end: number): number {
  while (end > 0 && text[end - 1] === ' ') end--
  while (end > 0 && isWordCharacter(text.charCodeAt(end - 1))) end--
  return end
}

const isLetter = (code: number) => (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a)
const isWordCharacter = (code: number) => isLetter(code) || code === 0x5f || (code >= 0x30 && code <= 0x39)
// NUL, white space, comma, semicolon, vertical bar
const isSeparator = (code: number) => code <= 0x20 || code === 0x2c || code === 0x3b || code === 0x7c

function tidy(value: string): string {
  let to = value.length
  while (to > 0 && isSeparator(value.charCodeAt(to - 1))) to--
  return value.slice(0, to).trimStart()
}

function readStat(word: string | undefined): ReceiptStat | undefined {
  if (!word) return undefined
  const upper = word.toUpperCase()
  return statPrefixes.find(([prefix]) => upper.startsWith(prefix))?.[1] ?? 'OTHER'
}

/** §4.4.2 allows 64 characters. A longer id is malformed, and too large for a database index. */
const MAX_ID_LENGTH = 255

/**
 * Returns the canonical spelling of an id that an SMSC spells in several ways: lower case, without NUL and leading
 * zeros ("0" if nothing else remains). It does not convert between hex and decimal: that is a setting of the
 * connection.
 */
export function canonicalMessageId(id: string): string {
  return id
    .slice(0, MAX_ID_LENGTH)
    .replaceAll('\0', '')
    .trim()
    .toLowerCase()
    .replace(/^0+(?=.)/, '')
}
