import type { Db } from '../db/db.ts'
import { logTable } from '../db/log-days.ts'
import type { Consent } from '../messages/consent.ts'

/** A leased chunk with what its message says of each text in it. */
export type Chunk = {
  id: number
  epoch: number
  messageId: number
  loggedOn: string
  lane: number
  firstLogId: number
  lastLogId: number
  listId: number | null
  shortCodeId: number
  consent: Consent
  content: string
  shortCode: string
  /** After this nobody in it may be texted until it is given a new due time. */
  closesAt: Date | null
  /** After this nobody is texted at all. */
  deliverBy: Date | null
}

export type Claim = {
  owner: string
  leaseMs: number
  now: Date
  fromLane: number
  toLane: number
  limit: number
  /** The short codes that the owner can send from, only these, or all but these; left out, all. */
  codes?: { allBut: boolean; ids: number[] }
}

/** So long before its time is over a chunk is left alone: what is marked now arrives only then. */
export const closingReserveMs = 1_000

/**
 * Leases open chunks of these lanes and short codes to `owner`, first lane and earliest due first. Chunks are skipped
 * while another gateway claims them, and taken over when its lease is past; the new epoch makes the old owner's marks
 * void. While sending, or its message, is paused there are none.
 */
export function claimChunks(db: Db, claim: Claim) {
  return db.many<Chunk>(
    'claim_chunks',
    /* sql */ `
    with picked as (
      select id from send_chunks
       where done_at is null and lane between $4 and $5 and due_at <= $3
         and not paused and (closes_at is null or closes_at > $3::timestamptz + interval '${closingReserveMs} milliseconds')
         and (short_code_id = any($8::bigint[])) <> $7
         and (lease_until is null or lease_until < clock_timestamp())
         and not exists (select from installation where sending_paused)
       order by lane, due_at, id
       limit $6
         for update skip locked
    ), leased as (
      update send_chunks c
         set leased_by = $1, epoch = c.epoch + 1, lease_until = clock_timestamp() + $2 * interval '1 millisecond'
        from picked where c.id = picked.id
      returning c.id, c.epoch, c.message_id, c.logged_on, c.lane, c.first_log_id, c.last_log_id, c.closes_at
    )
    select l.id, l.epoch, l.message_id as "messageId", l.logged_on as "loggedOn", l.lane,
           l.first_log_id as "firstLogId", l.last_log_id as "lastLogId", m.list_id as "listId",
           m.short_code_id as "shortCodeId", m.consent, m.content, s.code as "shortCode",
           l.closes_at as "closesAt", m.deliver_by as "deliverBy"
      from leased l
      join messages m on m.id = l.message_id
      join short_codes s on s.id = m.short_code_id
     order by l.lane, l.id`,
    [
      claim.owner,
      claim.leaseMs,
      claim.now,
      claim.fromLane,
      claim.toLane,
      claim.limit,
      claim.codes?.allBut ?? true,
      claim.codes?.ids ?? [],
    ],
  )
}

/**
 * Renews leases and answers the chunks still ours, and of each whether its message is cancelled. Ours are those whose
 * epoch nobody raised, even if the lease had run out meanwhile, because then nobody wanted it.
 */
export async function renewLeases(db: Db, leaseMs: number, chunks: Array<{ id: number; epoch: number }>) {
  const held = [...chunks].sort((a, b) => a.id - b.id)
  const rows = await db.many<{ id: number; cancelled: boolean }>(
    'renew_leases',
    /* sql */ `
    update send_chunks c set lease_until = clock_timestamp() + $1 * interval '1 millisecond'
      from unnest($2::bigint[], $3::int[]) as h(id, epoch)
     where c.id = h.id and c.epoch = h.epoch and c.done_at is null
    returning c.id, (select m.status = 'cancelled' from messages m where m.id = c.message_id) as cancelled`,
    [leaseMs, held.map((c) => c.id), held.map((c) => c.epoch)],
  )
  return new Map(rows.map((row) => [row.id, row.cancelled]))
}

/** Gives a chunk back before its lease is over, so that another gateway may go on with it at once. */
export async function releaseChunks(db: Db, chunks: Array<{ id: number; epoch: number }>) {
  const held = [...chunks].sort((a, b) => a.id - b.id)
  await db.exec(
    'release_chunks',
    /* sql */ `
    update send_chunks c set lease_until = null, leased_by = null
      from unnest($1::bigint[], $2::int[]) as h(id, epoch)
     where c.id = h.id and c.epoch = h.epoch and c.done_at is null`,
    [held.map((c) => c.id), held.map((c) => c.epoch)],
  )
}

/** Closes a chunk in which nobody is queued or submitting any more; false when somebody is, or it is not ours. */
export async function finishChunk(db: Db, chunk: Chunk): Promise<boolean> {
  const rows = await db.exec(
    `finish_chunk_${chunk.loggedOn}`,
    /* sql */ `
    update send_chunks c set done_at = clock_timestamp(), lease_until = null
     where c.id = $1 and c.epoch = $2 and c.done_at is null
       and not exists (select from ${logTable(chunk.loggedOn)} l
                        where l.id between $3 and $4 and l.state in ('queued', 'submitting'))`,
    [chunk.id, chunk.epoch, chunk.firstLogId, chunk.lastLogId],
  )
  return rows === 1
}

/**
 * What an earlier owner of the chunk left in the middle: submitted perhaps, and nobody will ever read the answer.
 * These rows become unknown; only a receipt can tell. Answers how many.
 */
export function abandonSubmitting(db: Db, chunk: Chunk): Promise<number> {
  return db.exec(
    `abandon_submitting_${chunk.loggedOn}`,
    /* sql */ `
    with moved as (
      update ${logTable(chunk.loggedOn)} l set state = 'unknown', carrier_status = 'no answer'
       where l.id between $1 and $2 and l.state = 'submitting'
         and exists (select from send_chunks c where c.id = $3 and c.epoch = $4 for share)
      returning 1
    ), total as (select count(*) as n from moved)
    update message_counters c set submitting = c.submitting - n, unknown = c.unknown + n
      from total where c.message_id = $5 and n > 0`,
    [chunk.firstLogId, chunk.lastLogId, chunk.id, chunk.epoch, chunk.messageId],
  )
}
