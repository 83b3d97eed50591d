import { findConnection } from '../connections/connections.queries.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { countUnmatchedInbound, listUnmatchedInbound, type UnmatchedInbound } from './unmatched.queries.ts'

/** Returns a page of a connection's unmatched MOs, newest first; throws if the connection does not exist. */
export async function getUnmatchedPage(db: Db, connectionId: number, page: Page): Promise<PageOf<UnmatchedInbound>> {
  if (!(await findConnection(db, connectionId))) throw errors.connectionNotFound()
  return pageOf(countUnmatchedInbound(db, connectionId), listUnmatchedInbound(db, connectionId, page))
}
