import { canonicalMessageId } from '../smpp/pdu/receipt-text.ts'
import type { Connection } from './connection.ts'

export type ReceiptIdForm = Connection['receiptIdForm']

/**
 * One spelling for the SMSC's id of a text, whether a response or a receipt names it. Most connections spell it alike but
 * for case and leading zeros; some write it in one base here and in the other there, and then it is kept in decimal.
 */
export function normalizeMessageId(form: ReceiptIdForm, half: 'response' | 'receipt', id: string): string {
  const lenient = canonicalMessageId(id)
  if (form === 'any') return lenient
  if (form === 'as_is') return id.slice(0, 255).replaceAll('\0', '')
  // the form is that of the receipt; the response has the other base
  const isHex = (form === 'hex') === (half === 'receipt')
  return (isHex ? fromHex(lenient) : lenient) ?? lenient
}

/**
 * What a receipt's id may have been in the response, where it is not known as it stands: without regard to case and zeros,
 * or in the other base. SMSCs mix hex and decimal.
 */
export function alternativeMessageIds(id: string): string[] {
  const lenient = canonicalMessageId(id)
  const decimal = fromHex(lenient)
  const spellings = [lenient, decimal, /^[0-9]{1,32}$/.test(lenient) ? BigInt(lenient).toString(16) : undefined]
  return spellings.filter((spelling) => spelling !== undefined && spelling !== id) as string[]
}

/** Hex digits as a decimal number; undefined for anything else. */
function fromHex(id: string): string | undefined {
  return /^[0-9a-f]{1,32}$/.test(id) ? BigInt(`0x${id}`).toString() : undefined
}
