import type { SubmitSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import type { ResponseFields } from '../smpp/session.types.ts'
import type { Fate } from './fates.ts'
import type { OwedReceipt } from './receipts.ts'
import type { MultiResponse, Submission } from './submissions.ts'

/** A submitted text whose response is not sent yet. */
export type PendingResponse = {
  session: Session
  request: Submission
  /** The common response to all texts of the request, if it has several. */
  multi: MultiResponse | undefined
  pdu: SubmitSm
  command_status: number
  id: number
  smscId: string
  submittedAt: number
  receipt: OwedReceipt | undefined
  /** Delay after the response. */
  receiptDelayMs: number
  fate: Fate
  isLost: boolean
  isSent: boolean
}

const noText = Buffer.alloc(0)

/** Sends the response; `undefined` means that the response is lost. */
export function sendResponse({ session, request, multi, pdu }: PendingResponse, fields: ResponseFields | undefined) {
  if (multi) multi.add(pdu, fields)
  else if (fields) session.respond(request, fields)
}

/** Returns the octets of a text, from short_message or message_payload. */
export function textOf(pdu: SubmitSm): Buffer {
  return pdu.short_message.length > 0 ? pdu.short_message : (pdu.tlvs?.message_payload ?? noText)
}
