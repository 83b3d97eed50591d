import type { Connection } from '../../connections/connection.ts'
import { normalizeMessageId } from '../../connections/message-id.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import type { UnreadReceipt, WaitingReceipt } from '../../receipts/waiting.queries.ts'
import type { DeliverSm } from '../../smpp/pdu/pdu.ts'
import { isIntermediate, parseReceipt, type ReceiptStat, receiptText } from '../../smpp/pdu/receipt-text.ts'
import { fromHandsetAddress } from '../../sms/handset-address.ts'
import { fromSmppAddress } from '../../sms/phone-number.ts'

type Source = Pick<Connection, 'id' | 'errorMap' | 'receiptIdForm'>

/** A receipt: final, with its row; intermediate; or unread, because it names no state or one that is not known. */
export type ReadReceipt =
  | { kind: 'final'; stat: ReceiptStat; row: WaitingReceipt }
  | { kind: 'intermediate'; stat: ReceiptStat }
  | { kind: 'unread'; stat: ReceiptStat | undefined; row: UnreadReceipt }

/** Reads a receipt by the rules of the connection that delivered it. */
export function readReceipt(source: Source, pdu: DeliverSm, receivedAt: Date): ReadReceipt {
  const receipt = parseReceipt(pdu)
  const rest = {
    connectionId: source.id,
    phone: fromHandsetAddress(pdu.source_addr) ?? null,
    shortCode: shortCodeOf(pdu.destination_addr),
    reference: pdu.tlvs?.user_message_reference ?? null,
    receivedAt,
  }
  if (!receipt) {
    const text = toStorable(receiptText(pdu))
    const smscId = normalizeMessageId(source.receiptIdForm, 'receipt', pdu.tlvs?.receipted_message_id ?? '')
    const row = { ...rest, smscId, state: null, reason: null, carrierStatus: '', submitDate: null, excerpt: text }
    return { kind: 'unread', stat: undefined, row }
  }
  const { stat } = receipt
  const err = toStorable(receipt.err ?? '')
  const word = toStorable(receipt.word ?? stat)
  const map = statusMapOf(source)
  const carrierWord = stat === 'OTHER' ? word : stat
  const read = {
    ...rest,
    smscId: normalizeMessageId(source.receiptIdForm, 'receipt', receipt.message_id),
    carrierStatus: err ? `${carrierWord} ${err}` : carrierWord,
    submitDate: receipt.submit_date === undefined ? null : toStorable(receipt.submit_date),
    excerpt: receipt.text === undefined ? null : toStorable(receipt.text),
  }
  if (isIntermediate(pdu)) return { kind: 'intermediate', stat }
  const status = map.ofReceipt(stat, err, word)
  if (status) return { kind: 'final', stat, row: { ...read, ...status } }
  if (stat !== 'OTHER' || map.knowsReceipt(err, word)) return { kind: 'intermediate', stat }
  return { kind: 'unread', stat, row: { ...read, state: null, reason: null } }
}

/** Removes NUL characters, which PostgreSQL rejects: one would make a whole batch of receipts fail forever. Limits the length. */
function toStorable(value: string): string {
  return value.slice(0, 200).replaceAll('\0', '').toWellFormed()
}

/** Returns the short code of an address as in the table short_codes: a ten-digit number has no country code there. */
export function shortCodeOf(address: string): string {
  return String(fromSmppAddress(address) ?? address.replace(/^\+/, ''))
}
