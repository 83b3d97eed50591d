import type { Job } from '../jobs/jobs.ts'
import { deleteEmptyWebhook, deleteSlice, findDeletedWebhook } from './deleted-webhooks.queries.ts'

const batchSize = 5_000

/** Deletes the rows of webhooks that are marked as deleted, in slices: a disabled one may have millions of deliveries. */
export const deleteWebhooksJob: Job = {
  name: 'webhooks.delete',
  async run(rt, _payload, signal) {
    while (!signal.aborted) {
      const webhook = await findDeletedWebhook(rt.db)
      if (!webhook) return
      while (!signal.aborted && (await deleteSlice(rt.db, webhook.endpointId, batchSize)) > 0);
      if (!signal.aborted) await deleteEmptyWebhook(rt.db, webhook)
    }
  },
}
