import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import {
  type ExplainedAttempt,
  type ExplainedChunk,
  type ExplainedConsent,
  type ExplainedMessage,
  type ExplainedRow,
  type ExplainedSubmit,
  findBlock,
  findExplainedChunk,
  findExplainedMessage,
  findExplainedRow,
  listExplainedAttempts,
  listExplainedConsent,
  listExplainedSubmits,
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
    | 'waits'
    | 'tried'
    | 'submitted'
    | 'unconfirmed'
    | 'again'
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

export type Explanation = {
  messageId: number
  phone: number
  state: string
  reason: string | null
  carrierStatus: string | null
  content: string | null
  partCount: number | null
  /** The result of the text, in one sentence. */
  summary: string
  trail: Step[]
}

/**
 * Returns the result and the steps of one message to one number: why the number was chosen or not, each submit with its
 * connection and status, and the receipt with its delivery status. `listId` is null for a transactional message. Any number
 * has an explanation for a broadcast. Throws a 404 if the account has no such message, or if the number is not a recipient
 * of a transactional message.
 */
export async function explain(
  db: Db,
  {
    accountId,
    listId,
    messageId,
    phone,
  }: { accountId: number; listId: number | null; messageId: number; phone: number },
): Promise<Explanation> {
  return db.tx(async (tx) => {
    const message = await findExplainedMessage(tx, accountId, listId, messageId)
    if (!message || (listId === null && message.kind === 'broadcast')) throw errors.messageNotFound()
    const consent = message.listId === null ? [] : await listExplainedConsent(tx, message.listId, phone)
    const row = message.loggedOn === null ? undefined : await findExplainedRow(tx, message.loggedOn, messageId, phone)
    if (!row && message.kind !== 'broadcast') throw errors.recipientNotFound()
    if (!row) return explainAbsence(message, phone, consent, await findBlock(tx, message.shortCode, phone))
    const day = message.loggedOn as string
    const found = {
      message,
      row,
      consent,
      submits: await listExplainedSubmits(tx, day, row.id),
      attempts: await listExplainedAttempts(tx, row.id),
      chunk: row.state === 'queued' ? await findExplainedChunk(tx, messageId, row) : undefined,
    }
    return {
      messageId,
      phone,
      state: row.state,
      reason: row.reason,
      carrierStatus: row.carrierStatus,
      content: row.content ?? message.content,
      partCount: row.partCount,
      summary: summaryOf(found),
      trail: trailOf(found),
    }
  })
}

type Found = {
  message: ExplainedMessage
  row: ExplainedRow
  consent: ExplainedConsent[]
  submits: ExplainedSubmit[]
  attempts: ExplainedAttempt[]
  chunk: ExplainedChunk | undefined
}

/** Explains why a number has no log row, by its consent in the ledger at the time of the audience. */
function explainAbsence(
  message: ExplainedMessage,
  phone: number,
  consent: ExplainedConsent[],
  blockedSince: Date | undefined,
): Explanation {
  const { reason, summary } = reasonOfAbsence(message, consent, blockedSince)
  const trail: Step[] = [
    ...consent.map(consentStep),
    { at: message.audienceAt, event: 'not_chosen' as const, detail: summary },
  ]
  return {
    messageId: message.id,
    phone,
    state: 'not_chosen',
    reason,
    carrierStatus: null,
    content: null,
    partCount: null,
    summary,
    trail: inOrder(trail),
  }
}

function reasonOfAbsence(message: ExplainedMessage, consent: ExplainedConsent[], blockedSince: Date | undefined) {
  const { audienceAt, expandedAt } = message
  if (audienceAt === null || message.status === 'draft' || message.status === 'scheduled') {
    return { reason: 'not_started', summary: 'The message has not started, so its audience is not determined yet.' }
  }
  const before = consent.find(({ at }) => at <= audienceAt)
  const joinedLater = consent.some(({ kind, at }) => kind === 'opt_in' && at > audienceAt)
  if (before?.kind === 'opt_out') {
    return { reason: 'opted_out', summary: `The number opted out before the message (by ${before.method}).` }
  }
  if (before?.kind === 'cleaned') {
    return {
      reason: 'cleaned',
      summary: 'The number was cleaned before the message, because the carrier had reported it as dead.',
    }
  }
  if (before?.kind === 'opt_in_requested') {
    return { reason: 'pending', summary: 'The number had not confirmed its opt-in request.' }
  }
  if (before === undefined && joinedLater) {
    return { reason: 'joined_later', summary: 'The number joined the list after the message was accepted.' }
  }
  if (before === undefined) return { reason: 'not_on_list', summary: 'The number was not on the list.' }
  if (expandedAt === null && message.status === 'cancelled') {
    return { reason: 'cancelled', summary: 'The message was cancelled before its audience reached this number.' }
  }
  if (expandedAt === null) {
    return { reason: 'not_written_yet', summary: 'The audience is still being written; retry in a moment.' }
  }
  if (message.isFiltered) {
    return { reason: 'not_in_audience', summary: 'The number did not match the audience filters of the message.' }
  }
  const blocked = blockedSince === undefined ? '' : ' It had sent STOP to the short code.'
  return { reason: 'not_subscribed', summary: `The number was not subscribed at the time of the message.${blocked}` }
}

const suppressions: Record<string, string> = {
  opted_out: 'the number opted out before the text was sent',
  not_subscribed: 'the number was no longer subscribed when the text was to be sent',
  too_late: 'the delivery deadline of the message had passed',
  too_long: 'the text exceeded the maximum number of parts',
  no_window: 'it had no sending window',
  blank: 'the text was blank after its merge tags were replaced',
}

const bounces: Record<string, string> = {
  hard: 'the number is dead',
  soft: 'the phone could not be reached; a later text may arrive',
  blocked: 'the carrier blocked the text',
  opted_out: 'the carrier has an opt-out of the person on record',
}

function summaryOf({ row, attempts, chunk, message }: Found): string {
  const status = row.carrierStatus ? ` (${row.carrierStatus})` : ''
  switch (row.state) {
    case 'queued':
      return queuedSummary(message, attempts, chunk)
    case 'submitting':
      return 'It was submitted to the SMSC, which has not responded yet.'
    case 'sent':
      return 'The SMSC accepted it, and no final receipt has arrived yet.'
    case 'unknown':
      return 'It was submitted to the SMSC, and the response was lost. Only a receipt can show whether it arrived.'
    case 'delivered':
      return `Delivered${status}.`
    case 'bounced':
      return `It bounced${status}: ${bounces[row.reason ?? ''] ?? row.reason ?? 'no reason is known'}.`
    case 'expired':
      return row.reason === 'no_receipt'
        ? 'The SMSC accepted it, and no receipt arrived before the deadline.'
        : `The carrier gave up on it${status}.`
    case 'suppressed':
      return `It was not sent: ${suppressions[row.reason ?? ''] ?? row.reason ?? 'consent was missing'}.`
    case 'cancelled':
      return 'It was not sent: the message was cancelled first.'
    default:
      return row.state
  }
}

function queuedSummary(message: ExplainedMessage, attempts: ExplainedAttempt[], chunk: ExplainedChunk | undefined) {
  const last = attempts.at(-1)
  const lastSubmit = last ? ` The last submit ended with ${last.outcome}.` : ''
  if (chunk?.paused) return `It waits: the message is paused.${lastSubmit}`
  if (message.status === 'cancelled') return 'The message was cancelled; it will not be sent.'
  return `It is queued.${lastSubmit}`
}

function trailOf({ message, row, consent, submits, attempts, chunk }: Found): Step[] {
  const trail: Step[] = consent.map(consentStep)
  trail.push({ at: message.acceptedAt, event: 'accepted', detail: `Accepted, to be sent from ${message.shortCode}` })
  if (row.state === 'suppressed') {
    const reason = suppressions[row.reason ?? ''] ?? row.reason
    trail.push({ at: row.closedAt, event: 'suppressed', detail: `Not sent: ${reason}` })
  } else trail.push({ at: message.audienceAt, event: 'chosen', detail: describeChoice(message) })
  if (row.state === 'cancelled')
    trail.push({ at: row.closedAt, event: 'cancelled', detail: 'Cancelled before it was sent' })
  if (chunk) trail.push({ at: chunk.dueAt, event: 'waits', detail: describeWait(chunk), until: chunk.closesAt })
  for (const attempt of attempts) {
    const { part, connection, responseMs, outcome } = attempt
    const step = { part: part + 1, connection, responseMs, commandStatus: outcome }
    trail.push({ at: attempt.writtenAt, event: 'tried', detail: `Part ${part + 1} was rejected: ${outcome}`, ...step })
  }
  for (const submit of submits) trail.push(submitStep(submit, row.partCount))
  if (row.requeuedAt)
    trail.push({ at: row.requeuedAt, event: 'again', detail: 'No response and no receipt; requeued once' })
  if (row.state === 'unknown') {
    trail.push({
      at: row.submittedAt,
      event: 'unconfirmed',
      detail: 'The response was lost; a receipt may still arrive',
    })
  }
  const hasReceipt = submits.length > 0 && row.carrierStatus !== null && row.state !== 'unknown'
  if (hasReceipt) trail.push({ at: row.closedAt, event: 'receipt', detail: describeReceipt(row) })
  else if (['bounced', 'expired'].includes(row.state)) {
    trail.push({
      at: row.closedAt,
      event: 'closed',
      detail: summaryOf({ message, row, consent, submits, attempts, chunk }),
    })
  }
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

function consentStep({ kind, method, at }: ExplainedConsent): Step {
  const descriptions = {
    opt_in_requested: 'Received an opt-in request',
    opt_in: 'Opted in',
    opt_out: 'Opted out',
    cleaned: 'Cleaned as a dead number',
  }
  return { at, event: 'consent', detail: `${descriptions[kind]} (by ${method})` }
}

/** Returns the steps sorted by time; steps without a time are last, because they are in the future. */
function inOrder(trail: Step[]): Step[] {
  const time = ({ at }: Step) => at?.getTime() ?? Number.POSITIVE_INFINITY
  return trail
    .map((step, index) => ({ step, index }))
    .sort((a, b) => time(a.step) - time(b.step) || a.index - b.index)
    .map(({ step }) => step)
}
