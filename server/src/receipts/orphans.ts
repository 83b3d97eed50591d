import { findConnection } from '../connections/connections.queries.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { countOrphans, listOrphans, type Orphan } from './orphans.queries.ts'

/** Returns a page of a connection's orphan receipts, newest first; throws if the connection does not exist. */
export async function getOrphanPage(db: Db, connectionId: number, page: Page): Promise<PageOf<Orphan>> {
  if (!(await findConnection(db, connectionId))) throw errors.connectionNotFound()
  return pageOf(countOrphans(db, connectionId), listOrphans(db, connectionId, page))
}
