import type { Runtime } from '../runtime.ts'
import { insertMessageSent, insertResults } from './message-events.queries.ts'

/** Time after which a broadcast or a transactional message is reported although texts of it have no result yet. */
const openMs = 10 * 60_000

/** Reports the broadcasts that were sent; returns whether there were any. */
export async function reportSent({ db, clock }: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const now = clock.now()
  return (await insertMessageSent(db, new Date(now.getTime() - openMs), now)) > 0
}

/** Number of transactional messages that one statement looks at. */
const resultBatch = 1_000

/** Reports results of transactional messages; returns whether more of them may be due. */
export async function reportResults({ db, clock }: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const now = clock.now()
  const looked = await insertResults(db, { now, pendingSince: new Date(now.getTime() - openMs), limit: resultBatch })
  return looked === resultBatch
}
