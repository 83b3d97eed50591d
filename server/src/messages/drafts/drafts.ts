import { rejectAtCap } from '../../accounts/caps.ts'
import type { Db } from '../../db/db.ts'
import { wake } from '../../db/wake.ts'
import { AppError, errors } from '../../errors.ts'
import { utcDay } from '../../lib/clock.ts'
import { holdListOpen } from '../../lists/lists.ts'
import { ensureLogDay } from '../../log/log-days.queries.ts'
import { manyMessages, type SweepRt } from '../../log/sweeps.ts'
import type { Runtime } from '../../runtime.ts'
import { insertDraft, startDraft } from '../accept.queries.ts'
import type { Audience } from '../audience/audience.ts'
import { validateContent } from '../content/content.ts'
import { type BroadcastInput, newBroadcast, sendToNumbers, storeBroadcastLinks } from '../messages.ts'
import type { Timing } from '../timing/timing.queries.ts'
import { atAnyTime, storeTiming, validateTiming } from '../timing/timing.ts'
import {
  cancelDraft,
  claimDue,
  countPlanned,
  type DueBroadcast,
  deleteMessage,
  findBroadcastForUpdate,
  updateDraft,
} from './drafts.queries.ts'

// Drafts, and scheduled broadcasts until they are due. Each change and each start locks the message's row first, so the
// second of two concurrent ones sees the result of the first.

type Rt = Pick<Runtime, 'db' | 'clock' | 'config'>
type ListRef = { id: number; accountId: number; shortCodeId: number }

/**
 * Stores a broadcast as a draft or, with a planned time, as scheduled; returns its id. Throws if a time is in the past.
 */
export async function createDraft(rt: Rt, input: BroadcastInput, sendAt: Date | null): Promise<{ id: number }> {
  const now = rt.clock.now()
  validateSendAt(sendAt, now)
  const timing = input.timing ?? atAnyTime
  validateTiming(timing, sendAt, now)
  return insert(rt, input, timing, sendAt, now)
}

function insert(
  rt: Pick<Runtime, 'db' | 'config'>,
  input: BroadcastInput,
  timing: Timing,
  sendAt: Date | null,
  now: Date,
) {
  return rt.db.tx(async (tx) => {
    await rejectTooManyPlanned(tx, rt, input.accountId, sendAt)
    const id = await insertDraft(tx, newBroadcast(input, now), sendAt)
    await storeTiming(tx, { id, accountId: input.accountId }, timing, sendAt, now)
    return { id }
  })
}

/** Throws a 422 if the account cannot have another draft or, with a planned time, another scheduled broadcast. */
function rejectTooManyPlanned(tx: Db, rt: Pick<Runtime, 'config'>, accountId: number, sendAt: Date | null) {
  const [name, status] =
    sendAt === null ? (['drafts', 'draft'] as const) : (['scheduled_messages', 'scheduled'] as const)
  return rejectAtCap(tx, rt, { name, accountId }, () => countPlanned(tx, accountId, status))
}

export type DraftChange = {
  content?: string
  name?: string | null
  maxParts?: number | null
  linkBase?: string | null
  audience?: Audience | null
  /** Null turns a scheduled broadcast into a draft. */
  sendAt?: Date | null
} & Partial<Timing>

/** Changes the given properties of a draft or a scheduled broadcast; throws if it has another status. */
export function changeDraft(rt: Rt, list: ListRef, messageId: number, change: DraftChange): Promise<void> {
  return rt.db.tx(async (tx) => {
    const locked = await lockDraft(tx, list, messageId, 'changed')
    const now = rt.clock.now()
    if (change.sendAt !== undefined) validateSendAt(change.sendAt, now)
    const { sendAt, ...input } = { ...locked, ...change }
    if ((sendAt === null) !== (locked.sendAt === null)) await rejectTooManyPlanned(tx, rt, list.accountId, sendAt)
    await validateContent(tx, list.id, input)
    const { localTime, deliverBy, quietHours, sendHours } = input
    const timing = { localTime, deliverBy, quietHours, sendHours }
    if (change.deliverBy !== undefined || change.sendAt !== undefined) validateTiming(timing, sendAt, now)
    await updateDraft(tx, messageId, newBroadcast({ ...input, accountId: list.accountId, list }, now), sendAt)
    await storeTiming(tx, { id: messageId, accountId: list.accountId }, timing, sendAt, now)
  })
}

/** Sends a draft or a scheduled broadcast now, to the current subscribers; throws if it has another status. */
export function sendDraft(rt: Rt, list: ListRef, messageId: number): Promise<void> {
  return rt.db.tx(async (tx) => {
    // before the message, in the order of a deletion of the list
    await holdListOpen(tx, list.id)
    const draft = await lockDraft(tx, list, messageId, 'sent')
    validateTiming(draft, null, rt.clock.now())
    // a custom field of a merge tag may have been deleted since the message was stored
    await validateContent(tx, list.id, draft)
    await start(tx, draft, rt.clock.now(), null)
  })
}

/** Deletes a draft; throws for any other status, because those broadcasts stay on record. */
export function deleteDraft(rt: Rt, list: ListRef, messageId: number): Promise<void> {
  return rt.db.tx(async (tx) => {
    const locked = await lockBroadcast(tx, list, messageId)
    if (locked.status !== 'draft') throw errors.wrongMessageStatus(locked.status, 'deleted')
    await deleteMessage(tx, messageId)
  })
}

/**
 * Creates a draft with the content, audience and timing of a broadcast of any status, without its deadline; returns its
 * id.
 */
export function copyBroadcast(rt: Rt, list: ListRef, messageId: number): Promise<{ id: number }> {
  return rt.db.tx(async (tx) => {
    const { content, name, maxParts, linkBase, audience, ...timing } = await lockBroadcast(tx, list, messageId)
    const input = { accountId: list.accountId, list, content, name, maxParts, linkBase, audience }
    return insert({ ...rt, db: tx }, input, { ...timing, deliverBy: null }, null, rt.clock.now())
  })
}

/** Sends the content of a broadcast to these numbers, as a separate message with its own counters; returns its id. */
export async function sendTest(rt: Rt, list: ListRef, messageId: number, phones: number[]): Promise<{ id: number }> {
  const { content, maxParts, linkBase } = await rt.db.tx((tx) => lockBroadcast(tx, list, messageId))
  return sendToNumbers(rt, {
    accountId: list.accountId,
    listId: list.id,
    shortCodeId: list.shortCodeId,
    phones,
    content,
    maxParts,
    linkBase,
    name: `Test of message ${messageId}`,
    isTest: true,
    field: 'phone_numbers',
  })
}

/** The account whose broadcast was started last. In memory: after a restart, turns begin with the first account. */
const rotation = { lastAccount: 0 }

/**
 * Starts a scheduled broadcast that is due; returns false if none is. Accounts take turns; of an account, the broadcast
 * that has been due the longest starts first. Its row is locked, so another worker starts the next one. A broadcast that
 * starts later than its list allows is cancelled instead.
 */
export const startDue = manyMessages<SweepRt>({
  sweep: 'start',
  work: (rt, only, claimed) =>
    rt.db.tx(async (tx) => {
      const now = rt.clock.now()
      const due = await claimDue(tx, now, only, rotation.lastAccount)
      if (!due) return false
      rotation.lastAccount = due.accountId
      claimed([due.id])
      await startOrCancel(tx, due, now)
      return true
    }),
})

async function startOrCancel(tx: Db, due: DueBroadcast, now: Date): Promise<void> {
  const isLate =
    now.getTime() - due.startsAt.getTime() > due.latenessMinutes * 60_000 || (due.deliverBy && due.deliverBy <= now)
  if (due.listDeleted) await cancelDraft(tx, due.id, now, 'list_deleted')
  else if (isLate) await cancelDraft(tx, due.id, now, 'too_late')
  else if (await isInvalid(tx, due)) await cancelDraft(tx, due.id, now, 'content')
  else await start(tx, due, now, due.sendAt)
}

/**
 * Returns whether the content has become invalid: a custom field of a merge tag was deleted, or its default has
 * changed.
 */
async function isInvalid(tx: Db, due: DueBroadcast): Promise<boolean> {
  try {
    await validateContent(tx, due.listId, due)
    return false
  } catch (error) {
    if (error instanceof AppError) return true
    throw error
  }
}

type Startable = { id: number; content: string; linkBase: string | null }

async function start(tx: Db, message: Startable, now: Date, sendAt: Date | null): Promise<void> {
  const loggedOn = utcDay(now)
  await ensureLogDay(tx, loggedOn)
  await startDraft(tx, message.id, now, loggedOn, sendAt)
  await storeBroadcastLinks(tx, message)
  await wake(tx, 'expansions')
}

async function lockDraft(tx: Db, list: ListRef, messageId: number, participle: string) {
  const locked = await lockBroadcast(tx, list, messageId)
  if (locked.status !== 'draft' && locked.status !== 'scheduled')
    throw errors.wrongMessageStatus(locked.status, participle)
  return locked
}

async function lockBroadcast(tx: Db, list: ListRef, messageId: number) {
  const locked = await findBroadcastForUpdate(tx, list.id, messageId)
  if (!locked) throw errors.messageNotFound()
  return locked
}

function validateSendAt(sendAt: Date | null, now: Date): void {
  if (sendAt !== null && sendAt <= now) throw errors.invalid({ 'message.send_at': ['must be in the future'] })
}
