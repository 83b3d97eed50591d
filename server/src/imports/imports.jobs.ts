import type { Job } from '../jobs/jobs.ts'
import { applyJob, applyNextSlice, endImport } from './imports.ts'

/** Applies an import slice by slice. A concurrent run, or one after a crash, continues after the last committed slice. */
export const applyImport: Job<{ importId: number }> = {
  name: applyJob,
  options: { expireSeconds: 6 * 3_600 },
  async run(rt, { importId }, signal) {
    let more = true
    while (more) {
      signal.throwIfAborted()
      more = await applyNextSlice(rt, importId)
    }
  },
  async onFinalFailure(rt, { importId }) {
    await rt.db.tx((tx) =>
      endImport(tx, importId, 'an internal error; rows after the applied ones were not changed', rt.clock.now()),
    )
  },
}
