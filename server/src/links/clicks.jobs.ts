import type { Job } from '../jobs/jobs.ts'
import { deleteClicks, listOldClicks, lockLinks } from './clicks.queries.ts'

/** Clicks that one transaction deletes: clicks on the same links are stored only after it. */
const batchSize = 2_000

/** Deletes clicks after `CARILLON_CLICK_DAYS`; the counts by link and by recipient remain. */
export const deleteClicksJob: Job = {
  name: 'clicks.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - rt.config.clickDays * 86_400_000)
    const deleteBatch = () =>
      rt.db.tx(async (tx) => {
        const old = await listOldClicks(tx, before, batchSize)
        const linkIds = [...new Set(old.map(({ linkId }) => linkId))].sort((a, b) => a - b)
        // as the clicks are stored, so that neither waits for a link that the other has locked
        await lockLinks(tx, linkIds)
        if (old.length > 0)
          await deleteClicks(
            tx,
            old.map(({ id }) => id),
          )
        return old.length
      })
    while (!signal.aborted && (await deleteBatch()) === batchSize);
  },
}
