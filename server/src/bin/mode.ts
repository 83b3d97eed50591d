import type { Config } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { isTableMissing } from '../db/pg-errors.ts'
import { OperatorError } from '../errors.ts'
import { ensureMode, findMode } from '../system/installation.queries.ts'

/**
 * Gives a new database its mode, and refuses one of the other mode: texts that were made up in a sandbox must not reach
 * phones, nor those that phones wait for a simulator.
 */
export async function assertMode(db: Db, mode: Config['mode']): Promise<void> {
  const found = (await findMode(db).catch(refuseEmpty)) ?? (await ensureMode(db, mode))
  if (found === mode) return
  throw new OperatorError(
    `The database holds the data of ${found} mode, and CARILLON_MODE is ${mode}. Set CARILLON_MODE=${found}, or DATABASE_URL to another database.`,
  )
}

function refuseEmpty(error: unknown): never {
  if (!isTableMissing(error)) throw error
  throw new OperatorError('The database of DATABASE_URL is not prepared yet. Run first: npm run role -- migrate')
}
