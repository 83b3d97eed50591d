import { retryLostRaces } from '../db/retry.ts'
import type { Job } from '../jobs/jobs.ts'
import { foldListDeltas } from './counts.queries.ts'
import { recordListSizes } from './list-sizes.queries.ts'

const batch = 10_000

/** Folds the deltas of the lists' counts. */
export const foldListDeltasJob: Job = {
  name: 'lists.fold-deltas',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await retryLostRaces(() => foldListDeltas(rt.db, batch))) === batch);
  },
}

const listsAtOnce = 1_000

/** Records the sizes of all lists at the end of yesterday, in turns, unless they are recorded. */
export const recordListSizesJob: Job = {
  name: 'lists.record-sizes',
  async run(rt, _payload, signal) {
    const now = rt.clock.now()
    for (let last: number | null = 0; last !== null && !signal.aborted; ) {
      const after: number = last
      last = await recordListSizes(rt.db, now, after, listsAtOnce)
    }
  },
}
