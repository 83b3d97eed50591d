import { raiseAlarm } from '../connections/alarms.queries.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { wake } from '../db/wake.ts'
import { utcDay } from '../lib/clock.ts'
import { closeMessage, expireChunks, listConnectionsOf, listUnknown, requeueUnknown } from '../log/close.queries.ts'
import { ensureLogDays } from '../log/log-days.queries.ts'
import { countReceived, findReceivedThrough } from '../log/received.queries.ts'
import { eachMessage } from '../log/sweeps.ts'
import type { Runtime } from '../runtime.ts'
import { bill } from './bill.ts'
import { claimRequeue, type OverdueMessage } from './overdue.queries.ts'
import { findOverdue } from './overdue.ts'

/** Texts that one statement requeues. */
const requeueBatch = 2_000

type Rt = Pick<Runtime, 'db' | 'clock' | 'config' | 'log'>

/**
 * Closes the messages at their receipt deadline: rows that are still sent become expired; unknown rows stay unknown, or
 * are requeued if the list prefers a second text to none. Returns the number of messages. After a crash the next round
 * finds the remaining rows.
 */
export const closeOverdue = eachMessage<Rt, OverdueMessage>({
  sweep: 'close',
  find: findOverdue,
  apply: (rt, message) => close(rt, message, rt.clock.now()),
})

async function close(rt: Rt, message: OverdueMessage, at: Date): Promise<void> {
  const { db } = rt
  const expired = { inParts: 0, withOneReceipt: 0 }
  let sample: number[] = []
  for (let last: number | null = 0; last !== null; ) {
    const after: number = last
    const slice = await retryLostRaces(() => expireChunks(db, message, after, at))
    expired.inParts += slice.inParts
    expired.withOneReceipt += slice.withOneReceipt
    if (sample.length === 0) sample = slice.sample
    last = slice.last
  }
  // a carrier with a receipt for each part rarely loses all but one of most texts
  if (expired.withOneReceipt * 2 > expired.inParts) await proposeOneReceipt(rt, message, expired, sample, at)
  if (message.mayRequeue && (await requeue(db, message, at)) > 0) return
  if (message.isOfList) await countAllReceived(db, message)
  // bill for the last time, before closeMessage deletes the chunks, by which the rows are found
  await db.tx((tx) => bill(tx, [message], at))
  await closeMessage(db, message, at)
}

/** Adds the message's received texts to the counts of the recipients. After a crash, the next round counts the remaining ones. */
async function countAllReceived(db: Db, message: OverdueMessage): Promise<void> {
  for (let last: number | null = await findReceivedThrough(db, message.messageId); last !== null; ) {
    const after: number = last
    last = await retryLostRaces(() => countReceived(db, message, after))
  }
}

/** Proposes to operators that the connections of these texts in parts expect one receipt per text. */
async function proposeOneReceipt(
  { db, log }: Rt,
  message: OverdueMessage,
  expired: { inParts: number; withOneReceipt: number },
  sample: number[],
  at: Date,
): Promise<void> {
  const { messageId, loggedOn } = message
  log.warn({ message: messageId, ...expired }, 'texts in parts got one receipt each, set receipts to one_per_text')
  const detail = `${expired.withOneReceipt} of ${expired.inParts} texts in parts that expired in message ${messageId} got one receipt each: set receipts to one_per_text`
  for (const connectionId of await listConnectionsOf(db, loggedOn, sample))
    await raiseAlarm(db, { connectionId, name: 'one_receipt_per_text', detail }, at)
}

/** Requeues a message's unknown texts, all of them in one commit, and returns their number. */
async function requeue(db: Db, message: OverdueMessage, at: Date): Promise<number> {
  const ids: number[] = []
  for (let last: number | null = 0; last !== null; ) {
    const batch: Awaited<ReturnType<typeof listUnknown>> = await listUnknown(db, message, last)
    ids.push(...batch.ids)
    last = batch.last
  }
  if (ids.length === 0) return 0
  return retryLostRaces(() =>
    db.tx(async (tx) => {
      if (!(await claimRequeue(tx, message))) return 0
      let queued = 0
      for (let from = 0; from < ids.length; from += requeueBatch) {
        queued += await requeueUnknown(tx, message, ids.slice(from, from + requeueBatch), at)
      }
      if (queued > 0) await wake(tx, 'chunks')
      return queued
    }),
  )
}

/** Creates the log's partitions from yesterday to a week ahead, so that no request has to create them. */
export async function createLogDaysAhead(rt: Pick<Runtime, 'db' | 'clock'>): Promise<void> {
  const today = rt.clock.now().getTime()
  const days = Array.from({ length: 9 }, (_, n) => utcDay(new Date(today + (n - 1) * 86_400_000)))
  await ensureLogDays(rt.db, days)
}
