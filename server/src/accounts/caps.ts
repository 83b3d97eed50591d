import { type CapName, caps } from '../config/caps.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { lockCap, shareCap } from './caps.queries.ts'

/** Number of api processes for which the proof below holds. */
const maxProcesses = 20

/**
 * Throws a 422 if the account, or a list of it, already has as many as the cap allows. `count` must count by an index, and
 * the caller must insert in `tx`.
 *
 * Concurrent requests cannot exceed the cap together. Near it, a request has the cap's lock alone, so nothing uncommitted is
 * missing in its count. Further below, requests share the lock, so a slow one does not delay the others, and each of
 * them counts while no request near the cap runs. Their counts can miss each other's inserts, at most as many as an account
 * has requests at a time, in all processes: the margin.
 */
export async function rejectAtCap(
  tx: Db,
  { config }: Pick<Runtime, 'config'>,
  { name, accountId, adding = 1 }: { name: CapName; accountId: number; adding?: number },
  count: (tx: Db) => Promise<number>,
): Promise<void> {
  const limit = config.caps[name]
  const margin = maxProcesses * config.accountConcurrency
  const isBelow = async (most: number) => (await count(tx)) + adding <= most
  // Twice the margin, so that the second count is hardly ever near the cap: two requests that share the lock and then want it
  // alone would be a deadlock.
  if (await isBelow(limit - 2 * margin)) {
    await shareCap(tx, name, accountId)
    // the statement after the lock sees what other requests have committed
    if (await isBelow(limit - margin)) return
  }
  await lockCap(tx, name, accountId)
  if (!(await isBelow(limit))) throw errors.capReached(name, limit, caps[name].of)
}
