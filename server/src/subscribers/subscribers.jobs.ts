import type { Job } from '../jobs/jobs.ts'
import { applyChangesJob, applyNextSlice, dropOldestChange } from './changes.ts'

/** Makes a list's waiting changes, oldest first. Another run beside it, or after a crash, goes on at the last slice's end. */
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
  async onGivenUp(rt, { listId }) {
    const changeId = await dropOldestChange(rt, listId)
    rt.log.error({ listId, changeId }, 'change to subscribers dropped after its last attempt')
  },
}
