import type { Job } from '../jobs/jobs.ts'
import { deleteEndedReceipts } from './orphans.queries.ts'

const retentionMs = 30 * 86_400_000
const batchSize = 5_000

/** Deletes receipts that had to wait, 30 days after they were applied or settled or became orphans. */
export const deleteReceiptsJob: Job = {
  name: 'receipts.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - retentionMs)
    while (!signal.aborted && (await deleteEndedReceipts(rt.db, before, batchSize)) === batchSize);
  },
}
