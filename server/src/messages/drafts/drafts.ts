import { allOrEach } from '../../db/all-or-each.ts'
import type { Db } from '../../db/db.ts'
import { wake } from '../../db/wake.ts'
import { AppError, errors } from '../../errors.ts'
import { utcDay } from '../../lib/clock.ts'
import { ensureLogDay } from '../../log/log-days.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { insertWaiting, startWaiting } from '../accept.queries.ts'
import type { Audience } from '../audience/audience.ts'
import { refuseContent } from '../content/content.ts'
import { type BroadcastInput, newBroadcast, sendToNumbers } from '../messages.ts'
import type { Timing } from '../timing/timing.queries.ts'
import { atAnyTime, keepTiming, refuseTiming } from '../timing/timing.ts'
import {
  cancelWaiting,
  claimDue,
  type DueBroadcast,
  deleteMessage,
  findBroadcastForUpdate,
  updateWaiting,
} from './drafts.queries.ts'

// Broadcasts that wait: drafts, and scheduled ones until they are due. Each change locks the message's row first, and
// so does whoever starts it; what comes second finds it started, or changed.

type Rt = Pick<Runtime, 'db' | 'clock'>
type ListRef = { id: number; accountId: number; shortCodeId: number }

/** Keeps a broadcast as a draft, or, with a time, to be sent when it has come. */
export async function keepBroadcast(rt: Rt, input: BroadcastInput, sendAt: Date | null): Promise<{ id: number }> {
  const now = rt.clock.now()
  refusePast(sendAt, now)
  const timing = input.timing ?? atAnyTime
  refuseTiming(timing, sendAt, now)
  return insert(rt, input, timing, sendAt, now)
}

function insert(rt: Pick<Rt, 'db'>, input: BroadcastInput, timing: Timing, sendAt: Date | null, now: Date) {
  return rt.db.tx(async (tx) => {
    const id = await insertWaiting(tx, newBroadcast(input, now), sendAt)
    await keepTiming(tx, { id, accountId: input.accountId }, timing, sendAt, now)
    return { id }
  })
}

export type WaitingChange = {
  content?: string
  name?: string | null
  maxParts?: number | null
  audience?: Audience | null
  /** Null makes a draft of it. */
  sendAt?: Date | null
} & Partial<Timing>

/** Changes what the change names, of a draft or a scheduled broadcast. */
export function changeWaiting(rt: Rt, list: ListRef, messageId: number, change: WaitingChange): Promise<void> {
  return rt.db.tx(async (tx) => {
    const held = await lockWaiting(tx, list, messageId, 'changed')
    const now = rt.clock.now()
    if (change.sendAt !== undefined) refusePast(change.sendAt, now)
    const { sendAt, ...input } = { ...held, ...change }
    await refuseContent(tx, list.id, input.content, input.maxParts)
    const { localTime, deliverBy, quietHours, sendHours } = input
    const timing = { localTime, deliverBy, quietHours, sendHours }
    if (change.deliverBy !== undefined || change.sendAt !== undefined) refuseTiming(timing, sendAt, now)
    await updateWaiting(tx, messageId, newBroadcast({ ...input, accountId: list.accountId, list }, now), sendAt)
    await keepTiming(tx, { id: messageId, accountId: list.accountId }, timing, sendAt, now)
  })
}

/** Sends a draft or a scheduled broadcast now, to whoever is subscribed at this moment. */
export function sendWaiting(rt: Rt, list: ListRef, messageId: number): Promise<void> {
  return rt.db.tx(async (tx) => {
    const { content, maxParts, ...timing } = await lockWaiting(tx, list, messageId, 'sent')
    refuseTiming(timing, null, rt.clock.now())
    // a field that it names may be gone by now
    await refuseContent(tx, list.id, content, maxParts)
    await start(tx, messageId, rt.clock.now(), null)
  })
}

/** Deletes a draft; what was ever scheduled or sent stays on record. */
export function deleteDraft(rt: Rt, list: ListRef, messageId: number): Promise<void> {
  return rt.db.tx(async (tx) => {
    const held = await lockBroadcast(tx, list, messageId)
    if (held.status !== 'draft') throw errors.wrongMessageStatus(held.status, 'deleted')
    await deleteMessage(tx, messageId)
  })
}

/** A draft of the same text to the same audience in the same hours, from a broadcast in whatever state. */
export function copyBroadcast(rt: Rt, list: ListRef, messageId: number): Promise<{ id: number }> {
  return rt.db.tx(async (tx) => {
    const { content, name, maxParts, audience, ...timing } = await lockBroadcast(tx, list, messageId)
    const input = { accountId: list.accountId, list, content, name, maxParts, audience }
    return insert({ db: tx }, input, { ...timing, deliverBy: null }, null, rt.clock.now())
  })
}

/** Sends the text of a broadcast to these numbers, as a message of its own that counts for nothing else. */
export async function sendTest(rt: Rt, list: ListRef, messageId: number, phones: number[]): Promise<{ id: number }> {
  const { content, maxParts } = await rt.db.tx((tx) => lockBroadcast(tx, list, messageId))
  return sendToNumbers(rt, {
    accountId: list.accountId,
    listId: list.id,
    shortCodeId: list.shortCodeId,
    phones,
    content,
    maxParts,
    name: `Test of message ${messageId}`,
    field: 'phone_numbers',
  })
}

/**
 * Starts the scheduled broadcast that has been due the longest, if any is, and says whether there was one. Whoever
 * starts it has its row: another worker takes the next. One that is later than its list allows is cancelled instead.
 * See allOrEach for `failed`.
 */
export function startDue(rt: Rt, failed = new Set<number>()): Promise<boolean> {
  return allOrEach(failed, ({ except }, claimed) =>
    rt.db.tx(async (tx) => {
      const now = rt.clock.now()
      const due = await claimDue(tx, now, except)
      if (!due) return false
      claimed([due.id])
      await startOrCancel(tx, due, now)
      return true
    }),
  )
}

async function startOrCancel(tx: Db, due: DueBroadcast, now: Date): Promise<void> {
  const isLate =
    now.getTime() - due.startsAt.getTime() > due.latenessMinutes * 60_000 || (due.deliverBy && due.deliverBy <= now)
  if (due.listDeleted) await cancelWaiting(tx, due.id, now, 'list_deleted')
  else if (isLate) await cancelWaiting(tx, due.id, now, 'too_late')
  else if (await hasFault(tx, due)) await cancelWaiting(tx, due.id, now, 'content')
  else await start(tx, due.id, now, due.sendAt)
}

/** Whether its text cannot be sent any more: a custom field that it names is gone, or has another default. */
async function hasFault(tx: Db, { listId, content, maxParts }: DueBroadcast): Promise<boolean> {
  try {
    await refuseContent(tx, listId, content, maxParts)
    return false
  } catch (error) {
    if (error instanceof AppError) return true
    throw error
  }
}

async function start(tx: Db, messageId: number, now: Date, sendAt: Date | null): Promise<void> {
  const loggedOn = utcDay(now)
  await ensureLogDay(tx, loggedOn)
  await startWaiting(tx, messageId, now, loggedOn, sendAt)
  await wake(tx, 'expansions')
}

async function lockWaiting(tx: Db, list: ListRef, messageId: number, done: string) {
  const held = await lockBroadcast(tx, list, messageId)
  if (held.status !== 'draft' && held.status !== 'scheduled') throw errors.wrongMessageStatus(held.status, done)
  return held
}

async function lockBroadcast(tx: Db, list: ListRef, messageId: number) {
  const held = await findBroadcastForUpdate(tx, list.id, messageId)
  if (!held) throw errors.messageNotFound()
  return held
}

function refusePast(sendAt: Date | null, now: Date): void {
  if (sendAt !== null && sendAt <= now) throw errors.invalid({ 'message.send_at': ['must be in the future'] })
}
