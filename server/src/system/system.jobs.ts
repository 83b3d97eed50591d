import type { Job } from '../jobs/jobs.ts'
import { deleteOldHeartbeats } from './heartbeats.queries.ts'

/** Forgets the heartbeats of processes long gone. */
export const forgetHeartbeatsJob: Job = {
  name: 'system.forget-heartbeats',
  async run(rt) {
    await deleteOldHeartbeats(rt.db)
  },
}
