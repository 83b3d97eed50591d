import type { Logger } from 'pino'
import type { Db } from '../db/db.ts'
import { listExcessPrivileges } from '../db/privileges.ts'

/** Logs a warning if the database role has privileges that Carillon does not need. */
export async function warnOfPrivileges(db: Db, log: Logger): Promise<void> {
  const privileges = await listExcessPrivileges(db)
  if (privileges.length > 0) log.warn({ privileges }, 'database role has privileges that Carillon does not need')
}
