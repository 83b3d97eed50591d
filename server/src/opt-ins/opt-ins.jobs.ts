import type { Job } from '../jobs/jobs.ts'
import { cleanSoftBounced } from './soft-bounces.ts'

/** Cleans numbers that have bounced softly too often. */
export const cleanSoftBouncedJob: Job = {
  name: 'opt-ins.clean-soft-bounced',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await cleanSoftBounced(rt)) > 0);
  },
}
