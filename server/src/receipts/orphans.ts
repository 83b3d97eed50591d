import { findConnection } from '../connections/connections.queries.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { countOrphans, listOrphans } from './orphans.queries.ts'

/** A page of the receipts of a connection that nothing explained for a day, and how many there are. */
export async function pageOfOrphans(db: Db, connectionId: number, page: { perPage: number; offset: number }) {
  if (!(await findConnection(db, connectionId))) throw errors.connectionNotFound()
  const count = await countOrphans(db, connectionId)
  return { count, orphans: await listOrphans(db, connectionId, page.perPage, page.offset) }
}
