import type { Job } from '../jobs/jobs.ts'
import { utcDay } from '../lib/clock.ts'
import { deleteAttempts } from '../log/attempts.queries.ts'
import { closeOverdue, makeLogDaysAhead } from './close.ts'

/** Closes messages whose receipts are overdue. */
export const closeOverdueJob: Job = {
  name: 'broadcasts.close-overdue',
  async run(rt, _payload, signal) {
    const failed = new Set<number>()
    const faults: unknown[] = []
    for (let closed = 1; closed > 0 && !signal.aborted; ) {
      const before = failed.size
      try {
        closed = await closeOverdue(rt, failed)
      } catch (error) {
        // some messages failed, and the next round skips them
        if (failed.size === before) throw error
        faults.push(error)
      }
    }
    if (faults.length > 0) throw faults[0]
  },
}

/** Creates the log's next partitions. */
export const makeLogDaysJob: Job = {
  name: 'broadcasts.make-log-days',
  run: (rt) => makeLogDaysAhead(rt),
}

/** Days for which failed attempts are stored. */
const attemptDays = 30

/** Deletes failed attempts a month after their text. */
export const forgetAttemptsJob: Job = {
  name: 'broadcasts.forget-attempts',
  async run({ db, clock }, _payload, signal) {
    const before = utcDay(new Date(clock.now().getTime() - attemptDays * 86_400_000))
    while (!signal.aborted && (await deleteAttempts(db, before, 10_000)) > 0);
  },
}
