import type { Job } from '../jobs/jobs.ts'
import { deleteEndedReceipts } from './orphans.queries.ts'

const keptForMs = 30 * 86_400_000
const atOnce = 5_000

/** Deletes the receipts that had to wait, orphans included, a month after their end. */
export const forgetReceiptsJob: Job = {
  name: 'receipts.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - keptForMs)
    while (!signal.aborted && (await deleteEndedReceipts(rt.db, before, atOnce)) === atOnce);
  },
}
