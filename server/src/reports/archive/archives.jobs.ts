import type { Job } from '../../jobs/jobs.ts'
import { removeOldDays } from './remove-days.ts'

/** Archives and removes the days of the message log that are older than `CARILLON_MESSAGE_LOG_DAYS`. */
export const removeLogDaysJob: Job = {
  name: 'log-archives.remove-days',
  run: (rt, _payload, signal) => removeOldDays(rt, signal),
  // a large day takes hours, and continues in the next run
  options: { retries: 0, expireSeconds: 3_600 },
}
