import type { Job } from '../jobs/jobs.ts'
import { deleteOldKeys } from './idempotency.queries.ts'

const atOnce = 5_000

/** Forgets the idempotency keys of yesterday. */
export const forgetIdempotencyKeysJob: Job = {
  name: 'http.forget-idempotency-keys',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await deleteOldKeys(rt.db, rt.clock.now(), atOnce)) === atOnce);
  },
}
