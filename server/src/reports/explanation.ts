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

/** One thing that happened to the text, with what is known of it. */
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
    | 'in_doubt'
    | 'again'
    | 'receipt'
    | 'closed'
    | 'cancelled'
  detail: string
  /** When the time in which it may be sent is over. */
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
  /** What became of the text, in a sentence for whoever asks where it is. */
  summary: string
  trail: Step[]
}

/**
 * The whole trail of one message to one number: why it was chosen or not, each try with its connection and status, the
 * receipt and what it means. Of a list's message, or of a text to given numbers when `listId` is null. A broadcast explains
 * why it did not go to somebody, too; a text to given numbers throws `recipient_not_found`.
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

/** Nobody wrote a row for this number: what does the ledger say of it at the audience's moment? */
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
    return { reason: 'not_started', summary: 'The message has not been started, so its audience is not known yet.' }
  }
  const before = consent.find(({ at }) => at <= audienceAt)
  const joinedLater = consent.some(({ kind, at }) => kind === 'opt_in' && at > audienceAt)
  if (before?.kind === 'opt_out') {
    return { reason: 'opted_out', summary: `The number had left the list before the message (by ${before.method}).` }
  }
  if (before?.kind === 'cleaned') {
    return { reason: 'cleaned', summary: 'The number had been taken off the list before, because it was dead.' }
  }
  if (before?.kind === 'opt_in_requested') {
    return { reason: 'pending', summary: 'The number had been asked to confirm and had not done so.' }
  }
  if (before === undefined && joinedLater) {
    return { reason: 'joined_later', summary: 'The number joined the list after the message was accepted.' }
  }
  if (before === undefined) return { reason: 'not_on_list', summary: 'The number was not on the list.' }
  if (expandedAt === null && message.status === 'cancelled') {
    return { reason: 'cancelled', summary: 'The message was cancelled before its audience reached this number.' }
  }
  if (expandedAt === null) {
    return { reason: 'not_written_yet', summary: 'The audience is still being written; ask again in a moment.' }
  }
  if (message.isFiltered) {
    return { reason: 'not_in_audience', summary: 'The number did not pass the tests of the audience of the message.' }
  }
  const blocked = blockedSince === undefined ? '' : ' It has sent STOP to the short code.'
  return { reason: 'not_subscribed', summary: `The number was not subscribed at that moment.${blocked}` }
}

const suppressions: Record<string, string> = {
  opted_out: 'it had left the list meanwhile',
  not_subscribed: 'it was not subscribed any more when its turn came',
  too_late: 'the deadline of the message had passed',
  too_long: 'the text would have been longer than the message may be',
  no_window: 'no time was left within the hours in which it may be texted',
  blank: 'nothing was left of the text once its merge tags were filled in',
}

const bounces: Record<string, string> = {
  hard: 'the number is dead',
  soft: 'it could not be reached; another text may do better',
  blocked: 'the carrier did not let the text through',
  opted_out: 'the carrier says that the person opted out',
}

function summaryOf({ row, attempts, chunk, message }: Found): string {
  const said = row.carrierStatus ? ` (${row.carrierStatus})` : ''
  switch (row.state) {
    case 'queued':
      return queuedSummary(message, attempts, chunk)
    case 'submitting':
      return 'It is on its way to the carrier, who has not answered yet.'
    case 'sent':
      return 'The carrier has taken it, and no final receipt has come.'
    case 'unknown':
      return 'It was handed to the carrier, whose answer was lost. Only a receipt can tell whether it arrived.'
    case 'delivered':
      return `Delivered${said}.`
    case 'bounced':
      return `It bounced${said}: ${bounces[row.reason ?? ''] ?? row.reason ?? 'no reason was given'}.`
    case 'expired':
      return row.reason === 'no_receipt'
        ? 'The carrier took it, and no receipt came until the deadline.'
        : `The carrier gave it up${said}.`
    case 'suppressed':
      return `It was not sent: ${suppressions[row.reason ?? ''] ?? row.reason ?? 'its consent had ended'}.`
    case 'cancelled':
      return 'It was not sent: the message was cancelled before its turn came.'
    default:
      return row.state
  }
}

function queuedSummary(message: ExplainedMessage, attempts: ExplainedAttempt[], chunk: ExplainedChunk | undefined) {
  const last = attempts.at(-1)
  const tried = last ? ` The last try ended with ${last.outcome}.` : ''
  if (chunk?.paused) return `It waits: the message is paused.${tried}`
  if (message.status === 'cancelled') return 'The message was cancelled; it will not be sent.'
  return `It waits for its turn.${tried}`
}

function trailOf({ message, row, consent, submits, attempts, chunk }: Found): Step[] {
  const trail: Step[] = consent.map(consentStep)
  trail.push({ at: message.acceptedAt, event: 'accepted', detail: `Accepted, to be sent from ${message.shortCode}` })
  if (row.state === 'suppressed') {
    const why = suppressions[row.reason ?? ''] ?? row.reason
    trail.push({ at: row.closedAt, event: 'suppressed', detail: `Not sent: ${why}` })
  } else trail.push({ at: message.audienceAt, event: 'chosen', detail: whyChosen(message) })
  if (row.state === 'cancelled')
    trail.push({ at: row.closedAt, event: 'cancelled', detail: 'Cancelled before its turn' })
  if (chunk) trail.push({ at: chunk.dueAt, event: 'waits', detail: waitOf(chunk), until: chunk.closesAt })
  for (const attempt of attempts) {
    const { part, connection, responseMs, outcome } = attempt
    const step = { part: part + 1, connection, responseMs, commandStatus: outcome }
    trail.push({ at: attempt.writtenAt, event: 'tried', detail: `Part ${part + 1} was not taken: ${outcome}`, ...step })
  }
  for (const submit of submits) trail.push(submitStep(submit, row.partCount))
  if (row.againAt) trail.push({ at: row.againAt, event: 'again', detail: 'Nothing was heard of it; queued once more' })
  if (row.state === 'unknown') {
    trail.push({ at: row.submittedAt, event: 'in_doubt', detail: 'The answer was lost; a receipt may still tell' })
  }
  const isAnswered = submits.length > 0 && row.carrierStatus !== null && row.state !== 'unknown'
  if (isAnswered) trail.push({ at: row.closedAt, event: 'receipt', detail: receiptOf(row) })
  else if (['bounced', 'expired'].includes(row.state)) {
    trail.push({
      at: row.closedAt,
      event: 'closed',
      detail: summaryOf({ message, row, consent, submits, attempts, chunk }),
    })
  }
  return inOrder(trail)
}

function whyChosen({ kind, isFiltered }: ExplainedMessage): string {
  if (kind !== 'broadcast') return 'The message was addressed to this number'
  return isFiltered ? 'Subscribed, and passed the tests of the audience' : 'Subscribed to the list at that moment'
}

function waitOf({ paused, leaseUntil }: ExplainedChunk): string {
  if (paused) return 'Held back: the message is paused'
  return leaseUntil ? 'Due, and a gateway has it in hand' : 'Due, when a gateway takes it up'
}

function submitStep(submit: ExplainedSubmit, partCount: number): Step {
  const { part, connection, smscId, writtenAt, responseMs } = submit
  // one PDU may carry all parts
  const which = part < 0 || partCount === 1 ? 'The text' : `Part ${part + 1} of ${partCount}`
  return {
    at: writtenAt,
    event: 'submitted',
    detail: `${which} was taken by the carrier`,
    ...(part < 0 ? {} : { part: part + 1 }),
    connection,
    commandStatus: 'ESME_ROK',
    smscId,
    responseMs,
  }
}

function receiptOf(row: ExplainedRow): string {
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
  const words = {
    opt_in_requested: 'Was asked to confirm',
    opt_in: 'Joined the list',
    opt_out: 'Left the list',
    cleaned: 'Was taken off the list as a dead number',
  }
  return { at, event: 'consent', detail: `${words[kind]} (by ${method})` }
}

/** By time; what has none comes last, for it is still to be. */
function inOrder(trail: Step[]): Step[] {
  const time = ({ at }: Step) => at?.getTime() ?? Number.POSITIVE_INFINITY
  return trail
    .map((step, index) => ({ step, index }))
    .sort((a, b) => time(a.step) - time(b.step) || a.index - b.index)
    .map(({ step }) => step)
}
