import type { Job } from '../jobs/jobs.ts'
import { applyChangesJob, applyNextSlice, dropOldestChange } from './changes.ts'

/**
 * Applies a list's queued changes, oldest first. A concurrent run, or one after a crash, continues after the last
 * slice.
 */
export const applyChanges: Job<{ listId: number }> = {
  name: applyChangesJob,
  options: { concurrency: 2, expireSeconds: 3_600 },
  async run(rt, { listId }, signal) {
    let more = true
    while (more) {
      signal.throwIfAborted()
      more = await applyNextSlice(rt, listId)
    }
  },
  async onFinalFailure(rt, { listId }) {
    const changeId = await dropOldestChange(rt, listId)
    rt.log.error({ listId, changeId }, 'change to subscribers dropped after its last attempt')
  },
}
