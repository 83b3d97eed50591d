import type { Job } from '../jobs/jobs.ts'
import { deleteOldHeartbeats } from './heartbeats.queries.ts'

/** Deletes the heartbeats of processes that ended at least a day ago. */
export const forgetHeartbeatsJob: Job = {
  name: 'system.forget-heartbeats',
  async run(rt) {
    await deleteOldHeartbeats(rt.db)
  },
}
