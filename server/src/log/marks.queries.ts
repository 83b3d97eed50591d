import type { BounceReason } from '../connections/status-map.ts'
import { markUsed } from '../connections/used.sql.ts'
import type { Db } from '../db/db.ts'
import { param, raw, sql } from '../db/sql.ts'
import { type CarrierOptOut, cleanDeadNumbers } from '../subscribers/clean.sql.ts'
import { type Chunk, ownChunkId, type Recipient } from './chunk.ts'
import { consentGiven, recipientsWithBlocks } from './consent.sql.ts'
import { countMoves } from './counters.sql.ts'
import { isDisabled } from './disabled.sql.ts'
import { logTable, submitsTable } from './log-days.ts'
import { from, to } from './transitions.ts'

// The state changes that a gateway makes before and after a submit_sm. Each statement updates a batch of a few hundred
// rows, in ascending order of ids, and the message's counters. A mark before the PDU names the lease's epoch and locks
// the chunk row (`for share`), so that no other gateway can take the chunk over before the mark has committed.

/** A join of these chunks `c` of one day with their log rows `l` that wait to be submitted. */
const queuedRows = (day: string, chunks: readonly Chunk[]) => sql`
    unnest(${chunks.map(({ id }) => id)}::bigint[], ${chunks.map(({ listId }) => listId)}::bigint[],
           ${chunks.map(({ firstLogId }) => firstLogId)}::bigint[], ${chunks.map(({ lastLogId }) => lastLogId)}::bigint[],
           ${chunks.map(ownChunkId)}::bigint[]) as c(id, list_id, first_log_id, last_log_id, own_id)
      -- lateral and offset 0 force one plan: a look-up per chunk
      cross join lateral (
        select id, phone, content, part_count from ${logTable(day)}
         where id between c.first_log_id and c.last_log_id and state = 'queued'
           and chunk_id is not distinct from c.own_id offset 0) l`

/** Returns the queued recipients of chunks of one day, by chunk, in the order of their ids. */
export async function listQueuedByChunk(db: Db, day: string, chunks: readonly Chunk[]) {
  const rows = await db.many<Recipient & { chunkId: number }>(
    `list_queued_${day}`,
    sql`
    select c.id as "chunkId", l.id, l.phone, l.content, l.part_count as "partCount"
      from ${queuedRows(day, chunks)} order by l.id`,
  )
  return byChunk(rows)
}

/** Returns the same with the recipients' carriers, for connections with a cap per carrier. */
export async function listQueuedWithCarriers(db: Db, day: string, chunks: readonly Chunk[]) {
  const rows = await db.many<Recipient & { chunkId: number }>(
    `list_queued_with_carriers_${day}`,
    sql`
    select c.id as "chunkId", l.id, l.phone, l.content, l.part_count as "partCount",
           coalesce(n.carrier, nullif(s.carrier, 0))::text as carrier
      from ${queuedRows(day, chunks)}
      left join lateral (select carrier from number_look_ups where phone = l.phone offset 0) n on true
      left join lateral (select carrier from subscribers
                          where list_id = c.list_id and phone = l.phone offset 0) s on true
     order by l.id`,
  )
  return byChunk(rows.map((row) => ({ ...row, carrier: row.carrier ?? undefined })))
}

function byChunk(rows: Array<Recipient & { chunkId: number }>): Map<number, Recipient[]> {
  const recipients = new Map<number, Recipient[]>()
  for (const { chunkId, ...recipient } of rows) {
    const own = recipients.get(chunkId)
    if (own) own.push(recipient)
    else recipients.set(chunkId, [recipient])
  }
  return recipients
}

/**
 * Marks as submitting the queued rows that may still be texted, and returns their ids; the others become cancelled, or
 * suppressed as `stopped` (a STOP to the short code), `not_subscribed` or `too_late`. All rows stay queued while the
 * message is paused or its account is disabled, or if the chunk's window has closed at `now`. The PDU may be written
 * only after this has committed.
 */
export async function markSubmitting(db: Db, chunk: Chunk, recipients: Recipient[], now: Date): Promise<number[]> {
  const time = param(now)
  const accountDisabled = raw(chunk.consent === 'reply' ? 'false' : isDisabled('account_id'))
  const { ids } = await db.one<{ ids: number[] }>(
    `mark_submitting_${chunk.consent}_${chunk.loggedOn}`,
    sql`
    with lease as materialized (
      select m.cancelled, m.late, m.paused or c.paused or coalesce(c.closes_at <= ${time}, false) as waiting
        from send_chunks c cross join lateral (
          select status = 'cancelled' as cancelled, paused_at is not null or ${accountDisabled} as paused,
                 coalesce(deliver_by <= ${time}, false) as late
            from messages where id = ${chunk.messageId} offset 0) m
       where c.id = ${chunk.id} and c.epoch = ${chunk.epoch}
         for share of c
    ), checked as materialized (
      select r.id, lease.cancelled, lease.late, r.is_blocked as stopped,
             not lease.cancelled and not lease.late and (${raw(consentGiven[chunk.consent])}) as allowed
        from lease cross join ${recipientsWithBlocks(chunk, recipients)}
        -- lateral and offset 0 force one plan: a look-up per recipient
        left join lateral (select state from subscribers
                            where list_id = ${chunk.listId} and phone = r.phone offset 0) s on true
       where lease.cancelled or lease.late or not lease.waiting
    ), decision as materialized (
      select array_agg(id) as ids, array_agg(id) filter (where allowed is not true) as not_allowed,
             array_agg(id) filter (where stopped) as stopped,
             bool_or(cancelled) as cancelled, bool_or(late) as late
        from checked
    ), moved as (
      -- by an array of ids, not by a join: a join that is planned while the day is small reads the whole day, and the
      -- cached plan still does so when the day has grown
      update ${logTable(chunk.loggedOn)} l
         set state = case when (l.id = any((select not_allowed from decision)::bigint[])) is not true then ${to('submit')}
                          when (select cancelled from decision) then ${to('cancelAtMark')}
                          else ${to('suppressAtMark')} end::message_state,
             reason = case when l.id = any((select not_allowed from decision)::bigint[])
                            and not (select cancelled from decision)
                           then case when (select late from decision) then 'too_late'
                                     when l.id = any((select stopped from decision)::bigint[]) then 'stopped'
                                     else 'not_subscribed' end end,
             submitted_at = case when (l.id = any((select not_allowed from decision)::bigint[])) is not true
                                 then ${time}::timestamptz end,
             closed_at = case when l.id = any((select not_allowed from decision)::bigint[]) then ${time}::timestamptz end
       where l.id = any((select ids from decision)::bigint[]) and l.state = ${from('submit')}
      returning l.id, l.message_id, l.state
    ), counted as (${countMoves(['submit', 'suppressAtMark', 'cancelAtMark'])}
    )
    select coalesce(array_agg(id order by id) filter (where state = 'submitting'), '{}')::bigint[] as ids from moved`,
  )
  return ids
}

/** Corrects the part counts of texts that are about to be submitted over a connection that splits them differently. */
export function correctPartCounts(db: Db, day: string, texts: Array<{ id: number; partCount: number }>) {
  return db.exec(
    `correct_part_counts_${day}`,
    /* sql */ `
    update ${logTable(day)} l
       set part_count = ($2::smallint[])[array_position($1::bigint[], l.id)]
     where l.id = any($1::bigint[]) and l.state = 'submitting'`,
    [texts.map((text) => text.id), texts.map((text) => text.partCount)],
  )
}

/**
 * Requeues rows whose PDU was not written, or was rejected temporarily; does nothing if the chunk has a newer epoch.
 */
export function unmarkSubmitting(db: Db, chunk: Chunk, ids: number[]): Promise<number> {
  return db.exec(
    `unmark_submitting_${chunk.loggedOn}`,
    /* sql */ `
    with moved as (
      update ${logTable(chunk.loggedOn)} l set state = ${to('unmark')}, submitted_at = null
       where l.id = any($1::bigint[]) and l.state = ${from('unmark')}
         and exists (select from send_chunks c where c.id = $2 and c.epoch = $3 for share)
      returning l.message_id
    )${countMoves(['unmark'])}`,
    [ids, chunk.id, chunk.epoch],
  )
}

/**
 * One accepted part: its SMSC id, and whether all other parts of its text have their responses (`complete`). Part -1
 * means all parts in one PDU. An empty id means that the response contained none; `spelling` is the id as the SMSC
 * wrote it.
 */
export type Accepted = {
  logId: number
  phone: number
  part: number
  smscId: string
  spelling?: string
  complete: boolean
  /** When the PDU was written, in milliseconds since 1970, and the time until its response. */
  writtenAt?: number
  responseMs?: number | null
}

/**
 * Inserts the SMSC ids and marks as sent the texts whose parts are all accepted, in one commit. A row that has become
 * unknown in the meantime also becomes sent.
 */
export async function markSent(db: Db, day: string, connectionId: number, accepted: Accepted[]): Promise<void> {
  const completeIds = accepted.filter((part) => part.complete).map((part) => part.logId)
  const withIds = accepted.filter((part) => part.smscId !== '')
  if (withIds.length < accepted.length) {
    await flagMissingIds(
      db,
      day,
      accepted.filter((part) => part.smscId === '').map((part) => part.logId),
    )
  }
  const { moved } = await db.one<{ moved: number }>(
    `mark_sent_${day}`,
    sql`
    with ${markUsed(sql`array[${connectionId}]`)}, ids as (
      insert into ${submitsTable(day)}
             (connection_id, smsc_id, spelling, log_id, phone, part, logged_on, written_at, response_ms)
      select ${connectionId}::smallint, a.smsc_id, a.spelling, a.log_id, a.phone, a.part, ${day}::date,
             to_timestamp(a.written_ms / 1000.0), a.response_ms
        from unnest(${withIds.map((part) => part.logId)}::bigint[], ${withIds.map((part) => part.phone)}::bigint[],
                    ${withIds.map((part) => part.part)}::smallint[], ${withIds.map((part) => part.smscId)}::text[],
                    ${withIds.map(storedSpelling)}::text[], ${withIds.map((part) => part.writtenAt ?? null)}::float8[],
                    ${withIds.map((part) => part.responseMs ?? null)}::int[])
               as a(log_id, phone, part, smsc_id, spelling, written_ms, response_ms)
    ), moved as (
      update ${logTable(day)} l set state = ${to('accept')}
       where l.id = any(${completeIds}::bigint[]) and l.state = ${from('accept')}
      returning l.message_id
    ), counted as (${countMoves(['accept'])}
    )
    select count(*) as moved from moved`,
  )
  if (moved < completeIds.length) await markUnknownSent(db, day, completeIds)
}

/**
 * Returns the id as the SMSC wrote it, truncated to the column's 255 characters; null if it equals the normalized id.
 */
function storedSpelling({ smscId, spelling }: Accepted): string | null {
  return spelling === smscId ? null : (spelling?.slice(0, 255).replaceAll('\0', '') ?? null)
}

/** Flags texts whose response contained no id: their receipts are matched by phone number and content. */
function flagMissingIds(db: Db, day: string, ids: number[]) {
  return db.exec(
    `flag_missing_ids_${day}`,
    /* sql */ `
    update ${logTable(day)} l set carrier_status = 'no id'
     where l.id = any($1::bigint[]) and l.state in ('submitting', 'unknown')`,
    [ids],
  )
}

function markUnknownSent(db: Db, day: string, ids: number[]) {
  return db.exec(
    `mark_unknown_sent_${day}`,
    /* sql */ `
    with moved as (
      update ${logTable(day)} l
         set state = ${to('acceptLate')}, carrier_status = case when l.carrier_status = 'no id' then l.carrier_status end
       where l.id = any($1::bigint[]) and l.state = ${from('acceptLate')}
      returning l.message_id
    )
${countMoves(['acceptLate'])}`,
    [ids],
  )
}

export type Rejected = { logId: number; reason: BounceReason; carrierStatus: string }

/**
 * Marks as bounced the texts that the SMSC rejected permanently, and cleans the numbers that it reported as dead.
 * Returns the texts to people who opted out at the carrier; callers must apply these opt-outs in the same transaction.
 */
export async function markRejected(db: Db, day: string, rejected: Rejected[], at: Date): Promise<CarrierOptOut[]> {
  const time = param(at)
  const logIds = param(rejected.map((row) => row.logId))
  return db.many<CarrierOptOut>(
    `mark_rejected_${day}`,
    sql`
    with moved as (
      update ${logTable(day)} l
         set state = ${to('reject')}, reason = r.reason, carrier_status = r.carrier_status, closed_at = ${time}
        from unnest(${logIds}::bigint[], ${rejected.map((row) => row.reason)}::text[],
                    ${rejected.map((row) => row.carrierStatus)}::text[]) as r(log_id, reason, carrier_status)
       -- the array repeats the condition, so that every plan of the join reads these rows only
       where l.id = r.log_id and l.id = any(${logIds}::bigint[]) and l.state = ${from('reject')}
      returning l.id, l.message_id, l.phone, l.state, l.reason, l.carrier_status
    ), ${cleanDeadNumbers(time)}, counted as (
${countMoves(['reject'], {
  also: { clean_count: '(select count(*) from cleaned where cleaned.message_id = moved.message_id)' },
})}
    )
    select moved.id as "logId", moved.phone, s.code as "shortCode", moved.carrier_status as "carrierStatus"
      from moved join messages m on m.id = moved.message_id join short_codes s on s.id = m.short_code_id
     where moved.reason = 'opted_out'`,
  )
}

/**
 * Marks as unknown the texts that got no response before the deadline or a lost socket: they may or may not have been
 * sent.
 */
export function markUnknown(db: Db, day: string, ids: number[]): Promise<number> {
  return db.exec(
    `mark_unknown_${day}`,
    /* sql */ `
    with moved as (
      update ${logTable(day)} l set state = ${to('loseResponse')}, carrier_status = 'no response'
       where l.id = any($1::bigint[]) and l.state = ${from('loseResponse')}
      returning l.message_id
    )
${countMoves(['loseResponse'])}`,
    [ids],
  )
}
