import type { Job } from '../jobs/jobs.ts'
import { utcDay } from '../lib/clock.ts'
import { deleteAttempts } from '../log/attempts.queries.ts'
import { closeOverdue, createLogDaysAhead } from './close.ts'

/** Closes messages at their receipt deadline. */
export const closeOverdueJob: Job = {
  name: 'broadcasts.close-overdue',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await closeOverdue(rt)) > 0);
  },
}

/** Creates the log's partitions of the next days. */
export const createLogDaysJob: Job = {
  name: 'broadcasts.make-log-days',
  run: (rt) => createLogDaysAhead(rt),
}

/** Days after which attempts are deleted. */
const attemptDays = 30

/** Deletes attempts 30 days after the day of their text. */
export const deleteAttemptsJob: Job = {
  name: 'broadcasts.forget-attempts',
  async run({ db, clock }, _payload, signal) {
    const before = utcDay(new Date(clock.now().getTime() - attemptDays * 86_400_000))
    while (!signal.aborted && (await deleteAttempts(db, before, 10_000)) > 0);
  },
}
