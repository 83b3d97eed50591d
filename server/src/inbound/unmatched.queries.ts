import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'

/** An MO with a sender that is not a phone number, or with a destination that is not one of our short codes. */
export type UnmatchedInbound = {
  id: number
  problem: 'sender' | 'destination'
  sourceAddress: string
  destination: string
  content: string
  dataCoding: number
  esmClass: number
  kind: string | null
  receivedAt: Date
  /** When its opt-out took effect; null for other texts, and as long as it concerns no sender. */
  appliedAt: Date | null
}

const columns = /* sql */ `
  id, problem, source_addr as "sourceAddress", short_code as destination, content, data_coding as "dataCoding",
  esm_class as "esmClass", kind, received_at as "receivedAt", opted_out_at as "appliedAt"`

/** Returns one page of a connection's unmatched MOs, newest first. */
export function listUnmatchedInbound(db: Db, connectionId: number, page: PageBounds) {
  return db.many<UnmatchedInbound>(
    'list_unmatched_inbound',
    /* sql */ `
    select ${columns} from inbound_messages
     where connection_id = $1 and problem is not null
     order by id desc limit $2 offset $3`,
    [connectionId, page.perPage, page.offset],
  )
}

export async function countUnmatchedInbound(db: Db, connectionId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_unmatched_inbound',
    /* sql */ `select count(*) as n from inbound_messages where connection_id = $1 and problem is not null`,
    [connectionId],
  )
  return n
}

/** Locks and returns an unmatched MO of a connection; undefined if the connection has no such MO. */
export function lockUnmatchedInbound(tx: Db, connectionId: number, id: number) {
  return tx.maybeOne<UnmatchedInbound & { isUnapplied: boolean; phone: number | null }>(
    'lock_unmatched_inbound',
    /* sql */ `
    select ${columns}, phone, kind = 'opt_out' and opted_out_at is null and interpreted_at is not null as "isUnapplied"
      from inbound_messages
     where connection_id = $1::bigint and id = $2::bigint and problem is not null
       for update`,
    [connectionId, id],
  )
}

/** Returns an opt-out to the MOs that wait, so that a gateway applies it, as sent by this phone. */
export async function reopenOptOut(tx: Db, id: number, phone: number): Promise<void> {
  await tx.exec(
    'reopen_opt_out',
    /* sql */ `update inbound_messages set interpreted_at = null, phone = $2 where id = $1`,
    [id, phone],
  )
}

/**
 * Returns up to `limit` opt-outs whose destination has become one of our short codes to the MOs that wait, so that a gateway
 * applies them; returns their number.
 */
export function reopenKnownOptOuts(db: Db, limit: number): Promise<number> {
  return db.exec(
    'reopen_known_opt_outs',
    /* sql */ `
    update inbound_messages set interpreted_at = null
     where id = any(array(select i.id from inbound_messages i join short_codes s on s.code = i.short_code
                           where i.kind = 'opt_out' and i.opted_out_at is null and i.interpreted_at is not null
                             and i.phone is not null
                           limit $1 for update of i skip locked))`,
    [limit],
  )
}

/** Deletes up to `limit` MOs that were interpreted before a time, except opt-outs that are not applied; returns their number. */
export function deleteOldInbound(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_old_inbound',
    /* sql */ `
    delete from inbound_messages
     where id = any(array(select id from inbound_messages
                           where interpreted_at < $1 and (kind <> 'opt_out' or opted_out_at is not null)
                           order by interpreted_at limit $2))
       and interpreted_at < $1`,
    [before, limit],
  )
}
