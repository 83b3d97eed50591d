import { retryLostRaces } from '../db/retry.ts'
import type { Job } from '../jobs/jobs.ts'
import { foldListDeltas } from './counts.queries.ts'

const batch = 10_000

/** Folds the deltas of the lists' counts. */
export const foldListDeltasJob: Job = {
  name: 'lists.fold-deltas',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await retryLostRaces(() => foldListDeltas(rt.db, batch))) === batch);
  },
}
