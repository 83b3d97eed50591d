import { canonicalMessageId } from '../smpp/pdu/receipt-text.ts'
import type { Connection } from './connection.ts'

export type ReceiptIdForm = Connection['receiptIdForm']

/**
 * Returns the same string for the id of a text in a submit_sm_resp and in its receipt. At most SMSCs, these differ only in
 * case and leading zeros. Some SMSCs use hex in one and decimal in the other; such ids are stored in decimal.
 */
export function normalizeMessageId(form: ReceiptIdForm, source: 'response' | 'receipt', id: string): string {
  const lenient = canonicalMessageId(id)
  if (form === 'any') return lenient
  if (form === 'as_is') return id.slice(0, 255).replaceAll('\0', '')
  // the form is the base of the receipt, and the response uses the other base
  const isHex = (form === 'hex') === (source === 'receipt')
  return (isHex ? fromHex(lenient) : lenient) ?? lenient
}

/**
 * Returns other forms of a receipt's id that the response may have had: normalized in case and zeros, or in the other base,
 * because SMSCs mix hex and decimal. For receipts whose id as received matches no text.
 */
export function alternativeMessageIds(id: string): string[] {
  const lenient = canonicalMessageId(id)
  const decimal = fromHex(lenient)
  const spellings = [lenient, decimal, /^[0-9]{1,32}$/.test(lenient) ? BigInt(lenient).toString(16) : undefined]
  return spellings.filter((spelling) => spelling !== undefined && spelling !== id) as string[]
}

/** Converts hex digits to decimal; returns undefined for any other string. */
function fromHex(id: string): string | undefined {
  return /^[0-9a-f]{1,32}$/.test(id) ? BigInt(`0x${id}`).toString() : undefined
}
