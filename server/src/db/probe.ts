import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from './db.ts'
import { isDatabaseUnavailable, isOutOfResources } from './pg-errors.ts'

const timeoutMs = 2_000

/**
 * Returns whether work failed because the database is unavailable. The same errors also end a single session, for
 * example because it was idle in its transaction for too long; then the database responds to another session, and only
 * this work has failed.
 */
export async function isDatabaseLost(db: Db, error: unknown, probeMs = timeoutMs): Promise<boolean> {
  return isDatabaseUnavailable(error) && !(await responds(db, probeMs))
}

/**
 * Returns whether work failed because of its own data: neither because the database is unavailable, nor because it lacks
 * disk or memory, has become read-only, or was told to cancel statements.
 */
export async function isErrorOfData(db: Db, error: unknown): Promise<boolean> {
  if (isDatabaseUnavailable(error)) return responds(db, timeoutMs)
  return !isOutOfResources(error)
}

async function responds(db: Db, probeMs: number): Promise<boolean> {
  const probe = db.one('probe_database', /* sql */ `select true as up`).then(
    () => true,
    () => false,
  )
  return Promise.race([probe, delay(probeMs, false, { ref: false })])
}
