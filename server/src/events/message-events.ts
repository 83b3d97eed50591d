import type { Runtime } from '../runtime.ts'
import { insertMessageSent } from './message-events.queries.ts'

/** Time after which a sent broadcast is reported although some of its texts have no result yet. */
const openMs = 10 * 60_000

/** Reports the broadcasts that were sent; returns whether there were any. */
export async function reportSent({ db, clock }: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const now = clock.now()
  return (await insertMessageSent(db, new Date(now.getTime() - openMs), now)) > 0
}
