import { type CapName, caps } from '../config/caps.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { lockAccount } from './accounts.queries.ts'

/**
 * Maximum number of requests of one account that may have inserted without a commit, in all processes. Further below the
 * cap, requests are not serialized, so one that is slow or whose process is frozen does not delay the others.
 */
const maxUncommitted = 100

/**
 * Throws a 422 if the account, or a list of it, already has as many as the cap allows. `count` must count by an index, and
 * the caller must insert in `tx`: near the cap, the lock on the account prevents concurrent requests from exceeding it
 * together.
 */
export async function rejectAtCap(
  tx: Db,
  { config }: Pick<Runtime, 'config'>,
  { name, accountId, adding = 1 }: { name: CapName; accountId: number; adding?: number },
  count: (tx: Db) => Promise<number>,
): Promise<void> {
  const limit = config.caps[name]
  if ((await count(tx)) + adding + maxUncommitted <= limit) return
  await lockAccount(tx, accountId)
  // the statement after the lock sees what other requests have committed
  if ((await count(tx)) + adding > limit) throw errors.capReached(name, limit, caps[name].of)
}
