import type { Db } from '../db/db.ts'
import type { Job } from '../jobs/jobs.ts'
import { reportIncomplete } from './reply-events.ts'
import { deleteOldInbound, reopenKnownOptOuts } from './unmatched.queries.ts'

const retentionMs = 90 * 86_400_000
const deleteBatch = 5_000
const reopenBatch = 1_000

/** Deletes MOs 90 days after they were interpreted. Opt-outs remain in the ledger, and here until they are applied. */
export const deleteInboundJob: Job = {
  name: 'inbound.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - retentionMs)
    while (!signal.aborted && (await deleteOldInbound(rt.db, before, deleteBatch)) === deleteBatch);
  },
}

/** Reports replies of which a part did not arrive within an hour. */
export const reportIncompleteJob: Job = {
  name: 'inbound.report-incomplete',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await reportIncomplete(rt)));
  },
}

/** Hands opt-outs whose destination has become one of our short codes to the gateways; returns whether there may be more. */
export async function reopenOptOuts(db: Db): Promise<boolean> {
  return (await reopenKnownOptOuts(db, reopenBatch)) === reopenBatch
}
