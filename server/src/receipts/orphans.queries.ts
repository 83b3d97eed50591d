import type { FinalState } from '../connections/status-map.ts'
import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'

/** A receipt that could not be matched to a text within a day, or whose state is missing or not known. */
export type Orphan = {
  id: number
  smscId: string
  phone: number | null
  shortCode: string
  /** Null if the state is missing or not known. */
  state: FinalState | null
  reason: string | null
  carrierStatus: string
  reference: number | null
  submitDate: string | null
  excerpt: string | null
  receivedAt: Date
}

/** Returns one page of a connection's orphans, newest first. */
export function listOrphans(db: Db, connectionId: number, page: PageBounds) {
  return db.many<Orphan>(
    'list_orphans',
    /* sql */ `
    select id, smsc_id as "smscId", phone, short_code as "shortCode", state, reason, carrier_status as "carrierStatus",
           reference, submit_date as "submitDate", excerpt, received_at as "receivedAt"
      from receipts
     where connection_id = $1 and outcome = 'orphan'
     order by id desc limit $2 offset $3`,
    [connectionId, page.perPage, page.offset],
  )
}

export async function countOrphans(db: Db, connectionId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_orphans',
    /* sql */ `select count(*) as n from receipts where connection_id = $1 and outcome = 'orphan'`,
    [connectionId],
  )
  return n
}

/** Deletes up to `limit` receipts whose wait ended before a time, and returns their number. */
export function deleteEndedReceipts(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_ended_receipts',
    /* sql */ `
    delete from receipts
     where id = any(array(select id from receipts where outcome <> 'waiting' and ended_at < $1 limit $2))`,
    [before, limit],
  )
}
