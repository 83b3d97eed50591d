import type { ReceiptStat } from './receipt-text.ts'

export type ReceiptToFormat = {
  message_id: string
  stat: ReceiptStat
  submitDate: Date
  doneDate: Date
  err?: string
  text?: string
}

/** Formats a receipt in the layout of appendix B, with dates in UTC to the minute and the first 20 characters of the text. */
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

// A busy SMSC formats many receipts per minute: caching the minute's text halves the cost of a receipt.
let cachedMinute = Number.NaN
let cachedText = ''

function receiptDate(date: Date): string {
  const minute = Math.floor(date.getTime() / 60_000)
  if (minute !== cachedMinute) {
    cachedText = date.toISOString().replace(/\D/g, '').slice(2, 12)
    cachedMinute = minute
  }
  return cachedText
}
