import type { Job } from '../jobs/jobs.ts'
import { closeOverdue, makeLogDaysAhead } from './close.ts'

/** Closes messages whose receipts are overdue. */
export const closeOverdueJob: Job = {
  name: 'broadcasts.close-overdue',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await closeOverdue(rt)) > 0);
  },
}

/** Makes the log's next partitions. */
export const makeLogDaysJob: Job = {
  name: 'broadcasts.make-log-days',
  run: (rt) => makeLogDaysAhead(rt),
}
