import { markUsed } from '../connections/used.sql.ts'
import type { Db } from '../db/db.ts'
import { sql } from '../db/sql.ts'
import type { BareWord } from './words.ts'

export type NewInbound = {
  connectionId: number
  /** As received: possibly not one of ours. */
  shortCode: string
  /** Null if the source address is no phone number: the MO is kept for operators, but never interpreted. */
  phone: number | null
  content: string
  raw: Buffer
  dataCoding: number
  receivedAt: Date
  sourceAddress?: string
  esmClass?: number
  udh?: Buffer | null
  /** Its place in a longer text. A part is never interpreted by itself. */
  part?: { reference: number | null; total: number | null; number: number | null } | undefined
  /** Identifies the octets of the MO; a copy of an MO that was not acknowledged is the same MO. */
  deliveryKey?: Buffer | null
}

/** An MO that is durable; `problem` is the address that is not known. */
export type StoredInbound = { id: number; problem: 'sender' | 'destination' | null }

/**
 * Inserts an MO and returns its id; an opt-out has its kind from the beginning, so that it is found before other MOs. A copy of an MO since `since` that was not acknowledged updates that row instead, and an
 * opt-out is then applied once more, because the number may have been added again meanwhile. Returns undefined if such a row is
 * older than `since`.
 */
export async function insertInbound(
  db: Db,
  mo: NewInbound,
  { isOptOut, since }: { isOptOut: boolean; since: Date },
): Promise<StoredInbound | undefined> {
  const part = mo.part
  const row = await db.maybeOne<StoredInbound>(
    'insert_inbound',
    sql`
    with ${markUsed(sql`array[${mo.connectionId}]`)}
    insert into inbound_messages as i
           (connection_id, short_code, phone, content, raw, data_coding, received_at, source_addr, esm_class, udh,
            part_reference, part_total, part_number, delivery_key, problem, kind, interpreted_at)
    values (${mo.connectionId}, ${mo.shortCode}, ${mo.phone}, ${mo.content}, ${mo.raw}, ${mo.dataCoding}, ${mo.receivedAt},
            ${mo.sourceAddress ?? ''}, ${mo.esmClass ?? 0}, ${mo.udh ?? null}, ${part?.reference ?? null},
            ${part?.total ?? null}, ${part?.number ?? null}, ${mo.deliveryKey ?? null},
            case when ${mo.phone}::bigint is null then 'sender'
                 when not exists (select from short_codes where code = ${mo.shortCode}) then 'destination' end,
            case when ${isOptOut} then 'opt_out' when ${mo.phone}::bigint is null then 'other' end,
            case when ${mo.phone}::bigint is null then ${mo.receivedAt}::timestamptz end)
        on conflict (delivery_key) where acknowledged_at is null
        do update set redeliveries = i.redeliveries + 1, opted_out_at = null,
                      interpreted_at = case when i.kind = 'opt_out' and i.phone is not null then null
                                            else i.interpreted_at end
           where i.received_at > ${since}
    returning id, problem`,
  )
  return row
}

/** Counts a copy of an MO; an opt-out is applied once more, because the number may have been added again meanwhile. */
export async function noteRedelivery(db: Db, id: number): Promise<void> {
  await db.exec(
    'note_redelivery',
    /* sql */ `
    update inbound_messages
       set redeliveries = redeliveries + 1, opted_out_at = null,
           interpreted_at = case when kind = 'opt_out' and phone is not null then null else interpreted_at end
     where id = $1`,
    [id],
  )
}

/** Marks MOs as acknowledged: the carrier has their responses, so equal octets are another MO from now on. */
export async function markAcknowledged(db: Db, ids: number[], at: Date): Promise<void> {
  await db.exec(
    'mark_acknowledged',
    /* sql */ `
    update inbound_messages set acknowledged_at = $2
     where id = any(array(select id from inbound_messages where id = any($1::bigint[]) order by id for update))
       and acknowledged_at is null`,
    [ids, at],
  )
}

/** Ends the wait for copies of an MO that was received before a time. */
export async function endRedelivery(db: Db, deliveryKey: Buffer, before: Date): Promise<void> {
  await db.exec(
    'end_redelivery',
    /* sql */ `
    update inbound_messages set acknowledged_at = received_at
     where delivery_key = $1 and acknowledged_at is null and received_at <= $2`,
    [deliveryKey, before],
  )
}

/** Returns those of these MOs that are handled; the confirmation of an opt-out may be missing. */
export async function listHandled(db: Db, ids: number[]): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_handled',
    /* sql */ `
    select id from inbound_messages
     where id = any($1::bigint[]) and (interpreted_at is not null or opted_out_at is not null)`,
    [ids],
  )
  return rows.map(({ id }) => id)
}

export type Inbound = {
  id: number
  phone: number
  connectionId: number
  shortCode: string
  content: string
  dataCoding: number
  isPart: boolean
  partReference: number | null
  partTotal: number | null
  listsLeft: number | null
  redeliveries: number
  receivedAt: Date
}

const claimed = /* sql */ `
  id, phone, connection_id as "connectionId", short_code as "shortCode", content, lists_left as "listsLeft", redeliveries,
  received_at as "receivedAt", data_coding as "dataCoding", part_reference as "partReference", part_total as "partTotal",
  case when part_total is null then coalesce(part_number > 1, false) else part_total > 1 end as "isPart"`

/** Locks an MO that still waits; returns undefined if another gateway has locked or handled it. */
export function claimInbound(tx: Db, { id }: { id: number }, optedOut: boolean) {
  return tx.maybeOne<Inbound>(
    'claim_inbound',
    /* sql */ `
    select ${claimed}
      from inbound_messages
     where id = $1 and interpreted_at is null and (opted_out_at is not null) = $2
       for update skip locked`,
    [id, optedOut],
  )
}

/** Locks the MOs that are still unhandled and that no other gateway has locked. */
export function claimUnhandled(tx: Db, ids: number[]) {
  return tx.many<Inbound>(
    'claim_unhandled',
    /* sql */ `
    select ${claimed}
      from inbound_messages
     where id = any($1::bigint[]) and interpreted_at is null and opted_out_at is null
     order by id
       for update skip locked`,
    [ids],
  )
}

/** Marks MOs as opted out, with the number of lists from which each unsubscribed its phone. They are confirmed later. */
export async function markOptedOut(tx: Db, optOuts: Array<{ id: number; listsLeft: number }>, at: Date) {
  await tx.exec(
    'mark_opted_out',
    /* sql */ `
    update inbound_messages i
       set kind = 'opt_out', lists_left = greatest(i.lists_left, o.lists_left), opted_out_at = $3
      from unnest($1::bigint[], $2::int[]) as o(id, lists_left)
     where i.id = o.id and i.id = any($1::bigint[])`,
    [optOuts.map((each) => each.id), optOuts.map((each) => each.listsLeft), at],
  )
}

/** Marks an MO as interpreted, with its kind and the message that is the reply to it, if any. */
export async function markInterpreted(tx: Db, id: number, kind: BareWord, replyMessageId: number | null, at: Date) {
  await tx.exec(
    'mark_interpreted',
    /* sql */ `
    update inbound_messages set kind = $2, reply_message_id = coalesce($3, reply_message_id), interpreted_at = $4
     where id = $1`,
    [id, kind, replyMessageId, at],
  )
}

/** Marks MOs without effect as interpreted. */
export async function markIgnored(tx: Db, ids: number[], kind: BareWord, at: Date) {
  if (ids.length === 0) return
  await tx.exec(
    'mark_ignored',
    /* sql */ `update inbound_messages set kind = $2, interpreted_at = $3 where id = any($1::bigint[])`,
    [ids, kind, at],
  )
}

/** Marks opt-outs as interpreted but not applied: no short code is known that they could concern. */
export async function markUnapplied(tx: Db, ids: number[], at: Date) {
  await tx.exec(
    'mark_unapplied',
    /* sql */ `
    update inbound_messages set kind = 'opt_out', problem = coalesce(problem, 'destination'), interpreted_at = $2
     where id = any($1::bigint[])`,
    [ids, at],
  )
}
