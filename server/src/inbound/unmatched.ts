import { findConnection } from '../connections/connections.queries.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { findDestination } from './destinations.queries.ts'
import {
  countUnmatchedInbound,
  listUnmatchedInbound,
  lockUnmatchedInbound,
  reopenOptOut,
  type UnmatchedInbound,
} from './unmatched.queries.ts'

/** Returns a page of a connection's unmatched MOs, newest first; throws if the connection does not exist. */
export async function getUnmatchedPage(db: Db, connectionId: number, page: Page): Promise<PageOf<UnmatchedInbound>> {
  if (!(await findConnection(db, connectionId))) throw errors.connectionNotFound()
  return pageOf(countUnmatchedInbound(db, connectionId), listUnmatchedInbound(db, connectionId, page))
}

/**
 * Hands an opt-out that is not applied yet to the gateways, which apply it as if it had just arrived; returns the MO. An MO with
 * an unknown sender needs the phone number. Throws if the MO does not exist, is no such opt-out, or concerns no short code.
 */
export async function applyUnmatched(
  db: Db,
  { connectionId, id, phone }: { connectionId: number; id: number; phone: number | undefined },
): Promise<UnmatchedInbound> {
  return db.tx(async (tx) => {
    if (!(await findConnection(tx, connectionId))) throw errors.connectionNotFound()
    const mo = await lockUnmatchedInbound(tx, connectionId, id)
    if (!mo) throw errors.unmatchedMoNotFound()
    if (!mo.isUnapplied) throw errors.moNotApplicable('The text is no opt-out, or it was applied before')
    const sender = mo.phone ?? phone
    if (sender === undefined)
      throw errors.invalid({ phone_number: ["can't be blank: the sender is not a phone number"] })
    const { codes } = await findDestination(tx, { connectionId, shortCode: mo.destination })
    if (codes.length === 0) throw errors.moNotApplicable('No short code sends through the connection')
    await reopenOptOut(tx, mo.id, sender)
    return mo
  })
}
