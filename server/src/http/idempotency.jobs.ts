import type { Job } from '../jobs/jobs.ts'
import { deleteOldKeys } from './idempotency.queries.ts'

const batchSize = 5_000

/** Deletes expired idempotency keys. */
export const forgetIdempotencyKeysJob: Job = {
  name: 'http.forget-idempotency-keys',
  async run(rt, _payload, signal) {
    while (!signal.aborted && (await deleteOldKeys(rt.db, rt.clock.now(), batchSize)) === batchSize);
  },
}
