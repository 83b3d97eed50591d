import type { BounceReason } from '../connections/status-map.ts'
import type { SuppressionReason } from '../log/reasons.ts'
import type {
  ExplainedAttempt,
  ExplainedChunk,
  ExplainedConsent,
  ExplainedMessage,
  ExplainedRow,
  ExplainedSubmit,
} from './explanation.queries.ts'

/** One recorded event of a text. */
export type Step = {
  at: Date | null
  event:
    | 'consent'
    | 'accepted'
    | 'chosen'
    | 'not_chosen'
    | 'suppressed'
    | 'waiting'
    | 'attempt_failed'
    | 'submitted'
    | 'unconfirmed'
    | 'requeued'
    | 'receipt'
    | 'closed'
    | 'cancelled'
  detail: string
  /** End of the sending window of the text. */
  until?: Date | null
  part?: number
  connection?: string
  commandStatus?: string
  smscId?: string
  responseMs?: number | null
}

/** The rows from which a text is explained. */
export type Found = {
  message: ExplainedMessage
  row: ExplainedRow
  consent: ExplainedConsent[]
  submits: ExplainedSubmit[]
  attempts: ExplainedAttempt[]
  chunk: ExplainedChunk | undefined
}

/** Descriptions of the reasons for which a text is suppressed. */
export const suppressions: Record<string, string> = {
  opted_out: 'the number opted out before the text was sent',
  stopped: 'the number had sent STOP to the short code',
  not_subscribed: 'the number was no longer subscribed when the text was to be sent',
  too_late: 'the delivery deadline of the message had passed',
  too_long: 'the text exceeded the maximum number of parts',
  no_window: 'it had no sending window',
  blank: 'the text was blank after its merge tags were replaced',
} satisfies Record<SuppressionReason, string>

/** Descriptions of the reasons of a bounce. */
export const bounces: Record<string, string> = {
  hard: 'the number is dead',
  soft: 'the phone could not be reached; a later text may arrive',
  blocked: 'the carrier blocked the text',
  opted_out: 'the carrier has an opt-out of the person on record',
} satisfies Record<BounceReason, string>

/** Returns the steps of a text in order of time; `summary` is the detail of the last step of a text without a receipt. */
export function trailOf({ message, row, consent, submits, attempts, chunk }: Found, summary: string): Step[] {
  const trail: Step[] = consent.map(consentStep)
  trail.push({ at: message.acceptedAt, event: 'accepted', detail: `Accepted, to be sent from ${message.shortCode}` })
  if (row.state === 'suppressed') {
    const reason = suppressions[row.reason ?? ''] ?? row.reason
    trail.push({ at: row.closedAt, event: 'suppressed', detail: `Not sent: ${reason}` })
  } else trail.push({ at: message.audienceAt, event: 'chosen', detail: describeChoice(message) })
  if (row.state === 'cancelled')
    trail.push({ at: row.closedAt, event: 'cancelled', detail: 'Cancelled before it was sent' })
  if (chunk) trail.push({ at: chunk.dueAt, event: 'waiting', detail: describeWait(chunk), until: chunk.closesAt })
  for (const attempt of attempts) {
    const { part, connection, responseMs, outcome } = attempt
    const step = { part: part + 1, connection, responseMs, commandStatus: outcome }
    trail.push({
      at: attempt.writtenAt,
      event: 'attempt_failed',
      detail: `Part ${part + 1} was rejected: ${outcome}`,
      ...step,
    })
  }
  for (const submit of submits) trail.push(submitStep(submit, row.partCount))
  if (row.requeuedAt)
    trail.push({ at: row.requeuedAt, event: 'requeued', detail: 'No response and no receipt; requeued once' })
  if (row.state === 'unknown') {
    trail.push({
      at: row.submittedAt,
      event: 'unconfirmed',
      detail: 'The response was lost; a receipt may still arrive',
    })
  }
  const hasReceipt = submits.length > 0 && row.carrierStatus !== null && row.state !== 'unknown'
  if (hasReceipt) trail.push({ at: row.closedAt, event: 'receipt', detail: describeReceipt(row) })
  else if (['bounced', 'expired'].includes(row.state))
    trail.push({ at: row.closedAt, event: 'closed', detail: summary })
  return inOrder(trail)
}

function describeChoice({ kind, isFiltered }: ExplainedMessage): string {
  if (kind !== 'broadcast') return 'The message was addressed to this number'
  return isFiltered
    ? 'Subscribed at that time, and matched the audience filters'
    : 'Subscribed to the list at that time'
}

function describeWait({ paused, leaseUntil }: ExplainedChunk): string {
  if (paused) return 'The message is paused'
  return leaseUntil ? 'Due, and leased by a gateway' : 'Due, and not leased by a gateway yet'
}

function submitStep(submit: ExplainedSubmit, partCount: number): Step {
  const { part, connection, smscId, writtenAt, responseMs } = submit
  // one PDU may contain all parts
  const subject = part < 0 || partCount === 1 ? 'The text' : `Part ${part + 1} of ${partCount}`
  return {
    at: writtenAt,
    event: 'submitted',
    detail: `${subject} was accepted by the SMSC`,
    ...(part < 0 ? {} : { part: part + 1 }),
    connection,
    commandStatus: 'ESME_ROK',
    smscId,
    responseMs,
  }
}

function describeReceipt(row: ExplainedRow): string {
  const arrived = row.partsDelivered < 0 ? row.partCount : countBits(row.partsDelivered)
  if (row.state === 'delivered') return `${row.carrierStatus}: delivered`
  if (row.state === 'sent') return `${row.carrierStatus}: ${arrived} of ${row.partCount} parts have arrived`
  return `${row.carrierStatus}: ${row.state}${row.reason ? `, ${bounces[row.reason] ?? row.reason}` : ''}`
}

function countBits(bits: number): number {
  let count = 0
  for (let rest = bits; rest > 0; rest >>>= 1) count += rest & 1
  return count
}

/** Returns a change of consent as a step. */
export function consentStep({ kind, isOfList, method, at }: ExplainedConsent): Step {
  const descriptions = {
    opt_in_requested: 'Received an opt-in request',
    opt_in: 'Opted in',
    opt_out: isOfList ? 'Opted out' : 'Opted out of the short code',
    cleaned: 'Cleaned as a dead number',
    block_lifted: 'Block at the short code lifted',
  }
  return { at, event: 'consent', detail: `${descriptions[kind]} (by ${method})` }
}

/** Returns the steps sorted by time; steps without a time are last, because they are in the future. */
export function inOrder(trail: Step[]): Step[] {
  const time = ({ at }: Step) => at?.getTime() ?? Number.POSITIVE_INFINITY
  return trail
    .map((step, index) => ({ step, index }))
    .sort((a, b) => time(a.step) - time(b.step) || a.index - b.index)
    .map(({ step }) => step)
}
