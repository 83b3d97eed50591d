import type { Db } from '../db/db.ts'
import { isTableMissing } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import {
  type ExplainedAttempt,
  type ExplainedChunk,
  type ExplainedConsent,
  type ExplainedMessage,
  findBlock,
  findExplainedChunk,
  findExplainedMessage,
  findExplainedRow,
  listExplainedAttempts,
  listExplainedConsent,
  listExplainedSubmits,
} from './explanation.queries.ts'
import { bounces, consentStep, type Found, inOrder, type Step, suppressions, trailOf } from './explanation-trail.ts'
import { isDayKept } from './momt-slices.queries.ts'

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

export type ExplanationRequest = { accountId: number; listId: number | null; messageId: number; phone: number }

/**
 * Returns the result and the steps of one message to one number: why the number was chosen or not, each submit with its
 * connection and status, and the receipt with its delivery status. `listId` is null for a transactional message. Any number
 * has an explanation for a broadcast. Throws a 404 if the account has no such message, or if the number is not a recipient
 * of a transactional message, and a 410 if the log of the message's day is no longer kept.
 */
export async function explain(
  db: Db,
  { accountId, listId, messageId, phone }: ExplanationRequest,
): Promise<Explanation> {
  const message = await findExplainedMessage(db, accountId, listId, messageId)
  if (!message || (listId === null && message.kind === 'broadcast')) throw errors.messageNotFound()
  const { loggedOn } = message
  try {
    return await db.tx(async (tx) => {
      if (loggedOn !== null && !(await isDayKept(tx, loggedOn))) throw errors.logNotKept(loggedOn)
      return explainMessage(tx, message, phone)
    })
  } catch (error) {
    // the day was dropped meanwhile
    throw loggedOn !== null && isTableMissing(error) ? errors.logNotKept(loggedOn) : error
  }
}

async function explainMessage(tx: Db, message: ExplainedMessage, phone: number): Promise<Explanation> {
  const { id: messageId, loggedOn: day } = message
  const consent = await listExplainedConsent(tx, message.listId, message.shortCode, phone)
  const row = day === null ? undefined : await findExplainedRow(tx, day, messageId, phone)
  if (!row && message.kind !== 'broadcast') throw errors.recipientNotFound()
  if (!row || day === null) {
    return explainAbsence(message, phone, consent, await findBlock(tx, message.shortCode, phone))
  }
  const found = {
    message,
    row,
    consent,
    submits: await listExplainedSubmits(tx, day, row.id),
    attempts: await listExplainedAttempts(tx, row.id),
    chunk: row.state === 'queued' ? await findExplainedChunk(tx, messageId, row) : undefined,
  }
  const summary = summaryOf(found)
  return {
    messageId,
    phone,
    state: row.state,
    reason: row.reason,
    carrierStatus: row.carrierStatus,
    content: row.content ?? message.content,
    partCount: row.partCount,
    summary,
    trail: trailOf(found, summary),
  }
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
  const ofList = consent.filter(({ isOfList }) => isOfList)
  const before = ofList.find(({ at }) => at <= audienceAt)
  const joinedLater = ofList.some(({ kind, at }) => kind === 'opt_in' && at > audienceAt)
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
        : `The carrier stopped trying to deliver it${status}.`
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
