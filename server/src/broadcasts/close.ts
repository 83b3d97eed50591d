import { retryLostRaces } from '../db/retry.ts'
import { utcDay } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import { bill } from './bill.ts'
import { closeMessage, ensureLogDays, expireChunks, listOverdue } from './close.queries.ts'

/**
 * Closes the messages whose receipts are overdue: what is still sent becomes expired, what is unknown stays unknown.
 * Answers how many messages it dealt with. A crash in between leaves them to be found again.
 */
export async function closeOverdue(rt: Pick<Runtime, 'db' | 'clock' | 'config'>): Promise<number> {
  const at = rt.clock.now()
  const overdue = await listOverdue(rt.db, new Date(at.getTime() - rt.config.send.receiptDeadlineMs))
  for (const message of overdue) {
    let last: number | undefined = 0
    while (last !== undefined) {
      const after: number = last
      last = await retryLostRaces(() => expireChunks(rt.db, message, after, at))
    }
    // for the last time: with the chunks goes the way to its rows
    await bill(rt.db, [message], at)
    await closeMessage(rt.db, message.messageId, at)
  }
  return overdue.length
}

/** Makes the log's partitions from yesterday to a week ahead, so that no request has to. */
export async function makeLogDaysAhead(rt: Pick<Runtime, 'db' | 'clock'>): Promise<void> {
  const today = rt.clock.now().getTime()
  const days = Array.from({ length: 9 }, (_, n) => utcDay(new Date(today + (n - 1) * 86_400_000)))
  await ensureLogDays(rt.db, days)
}
