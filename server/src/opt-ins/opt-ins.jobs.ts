import type { Job } from '../jobs/jobs.ts'
import { cleanSoftBounced } from './soft-bounces.ts'

/** Cleans numbers with too many consecutive soft bounces. */
export const cleanSoftBouncedJob: Job = {
  name: 'opt-ins.clean-soft-bounced',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await cleanSoftBounced(rt)) > 0);
  },
}
