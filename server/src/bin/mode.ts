import type { Config } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { isTableMissing } from '../db/pg-errors.ts'
import { assertRestored } from '../db/unfinished-restore.ts'
import { OperatorError } from '../errors.ts'
import { ensureMode, findMode } from '../system/installation.queries.ts'

/**
 * Sets the mode of a new database; throws OperatorError if the database has the other mode, because sandbox texts must not
 * reach phones and production texts must not go to the simulator, or if a restore into it has not ended.
 */
export async function assertMode(db: Db, mode: Config['mode']): Promise<void> {
  await db.withClient(assertRestored).catch(rejectUnmigrated)
  const found = (await findMode(db).catch(rejectUnmigrated)) ?? (await ensureMode(db, mode))
  if (found === mode) return
  throw new OperatorError(
    `The database is in ${found} mode, but CARILLON_MODE is ${mode}. Set CARILLON_MODE=${found}, or DATABASE_URL to another database.`,
  )
}

function rejectUnmigrated(error: unknown): never {
  if (!isTableMissing(error)) throw error
  throw new OperatorError('The database of DATABASE_URL is not migrated yet. Run first: npm run role -- migrate')
}
