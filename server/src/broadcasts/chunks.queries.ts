import type { Db } from '../db/db.ts'
import { logTable } from '../db/log-days.ts'
import type { Consent } from '../messages/consent.ts'

/** A leased chunk with what its message says of each text in it. */
export type Chunk = {
  id: number
  epoch: number
  accountId: number
  messageId: number
  loggedOn: string
  lane: number
  firstLogId: number
  lastLogId: number
  /** How often its texts were tried before. */
  attempt: number
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

const isFree = `(lease_until is null or lease_until < clock_timestamp())`
const isOpen = `not paused and (closes_at is null or closes_at > $3::timestamptz + interval '${closingReserveMs} milliseconds')`
const mayBeSentFrom = `(short_code_id = any($8::bigint[])) <> $7`

/** Leases the chunks of a CTE `picked` (id) to $1 for $2 milliseconds, and says what their messages say. */
const leasePicked = /* sql */ `
    leased as (
      update send_chunks c
         set leased_by = $1, epoch = c.epoch + 1, lease_until = clock_timestamp() + $2 * interval '1 millisecond'
        from picked where c.id = picked.id
      returning c.id, c.epoch, c.message_id, c.logged_on, c.lane, c.first_log_id, c.last_log_id, c.closes_at,
                c.attempt
    )
    select l.id, l.epoch, m.account_id as "accountId", l.message_id as "messageId", l.logged_on as "loggedOn", l.lane,
           l.first_log_id as "firstLogId", l.last_log_id as "lastLogId", l.attempt, m.list_id as "listId",
           m.short_code_id as "shortCodeId", m.consent, m.content, s.code as "shortCode",
           l.closes_at as "closesAt", m.deliver_by as "deliverBy"
      from leased l
      -- a look-up per chunk, whatever was known of the tables when this was planned
      cross join lateral (select * from messages where id = l.message_id offset 0) m
      cross join lateral (select code from short_codes where id = m.short_code_id offset 0) s
     order by l.lane, l.id`

/**
 * Leases open chunks of these lanes and short codes to `owner`, first lane and earliest due first. Chunks are skipped
 * while another gateway claims them, and taken over when its lease is past; the new epoch makes the old owner's marks
 * void. While sending, or its message, is paused there are none. It steps from short code to short code by their index, so
 * that texts which nobody can send now cost no time, however many they are.
 */
export function claimChunks(db: Db, claim: Claim) {
  return db.many<Chunk>(
    'claim_chunks',
    /* sql */ `
    with recursive code as (
      (select short_code_id from send_chunks
        where done_at is null and not paused
        order by short_code_id limit 1)
      union all
      select next.short_code_id
        from code cross join lateral (
          select short_code_id from send_chunks
           where done_at is null and not paused and short_code_id > code.short_code_id
           order by short_code_id limit 1) next
    ), candidates as materialized (
      select c.id, c.lane, c.due_at
        from code cross join generate_series($4::int, $5::int) as of_lane(n) cross join lateral (
          select id, lane, due_at from send_chunks
           where short_code_id = code.short_code_id and lane = of_lane.n and done_at is null and due_at <= $3
             and ${isOpen} and ${isFree}
           order by due_at, id
           -- more than are wanted, for others may be claiming the same
           limit 4 * $6::int) c
       where ${mayBeSentFrom}
    ), ranked as materialized (
      select array(select id from candidates order by lane, due_at, id limit 4 * $6::int) as ids
    ), picked as (
      select id from send_chunks
       where id = any((select ids from ranked)::bigint[]) and done_at is null and ${isOpen} and ${isFree}
         and not exists (select from installation where sending_paused)
       order by lane, due_at, id
       limit $6
         for update skip locked
    ), ${leasePicked}`,
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

export type BroadcastClaim = Omit<Claim, 'fromLane' | 'toLane'> & {
  /** Broadcasts of which the owner has enough in hand. */
  enough: number[]
  /** Broadcasts that the owner was given chunks of, longest ago first: others come before them. */
  served: number[]
}

/**
 * Leases open chunks of broadcasts as claimChunks does, but in turn: one of each before a second one of any. It steps
 * from broadcast to broadcast by their index, so that one of 680 chunks costs no more to pass by than one of one.
 */
export function claimBroadcasts(db: Db, claim: BroadcastClaim) {
  return db.many<Chunk>(
    'claim_broadcasts',
    /* sql */ `
    with recursive broadcast as (
      (select message_id, short_code_id from send_chunks
        where done_at is null and not paused and lane = 2
        order by message_id limit 1)
      union all
      select next.message_id, next.short_code_id
        from broadcast b cross join lateral (
          select message_id, short_code_id from send_chunks
           where done_at is null and not paused and lane = 2 and message_id > b.message_id
           order by message_id limit 1) next
    ), candidates as materialized (
      select c.id, c.turn, b.message_id
        from broadcast b cross join lateral (
          select id, row_number() over (order by due_at, id) as turn
            from (select id, due_at from send_chunks
                   where message_id = b.message_id and done_at is null and lane = 2 and due_at <= $3
                     and ${isOpen} and ${isFree}
                   order by due_at, id
                   -- more than are wanted, for others may be claiming the same
                   limit 2 * $4::int) free) c
       where ${mayBeSentFrom} and b.message_id <> all($5::bigint[])
    ), ranked as materialized (
      select array(select id from candidates
                    order by turn, array_position($6::bigint[], message_id) nulls first, message_id
                    limit 2 * $4::int) as ids
    ), picked as (
      select id from send_chunks
       where id = any((select ids from ranked)::bigint[]) and done_at is null and ${isOpen} and ${isFree}
         and not exists (select from installation where sending_paused)
       order by array_position((select ids from ranked), id)
       limit $4
         for update skip locked
    ), ${leasePicked}`,
    [
      claim.owner,
      claim.leaseMs,
      claim.now,
      claim.limit,
      claim.enough,
      claim.served,
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

/** What the rows of this chunk say of it: nothing, or its id where it lies in the range of an older one. */
export function ownChunkId({ id, attempt }: Pick<Chunk, 'id' | 'attempt'>): number | null {
  return attempt > 0 ? id : null
}

/** Closes a chunk in which nobody is queued or submitting any more; false when somebody is, or it is not ours. */
export async function finishChunk(db: Db, chunk: Chunk): Promise<boolean> {
  const rows = await db.exec(
    `finish_chunk_${chunk.loggedOn}`,
    /* sql */ `
    update send_chunks c set done_at = clock_timestamp(), lease_until = null
     where c.id = $1 and c.epoch = $2 and c.done_at is null
       and not exists (select from ${logTable(chunk.loggedOn)} l
                        where l.id between $3 and $4 and l.state in ('queued', 'submitting')
                          and l.chunk_id is not distinct from $5)`,
    [chunk.id, chunk.epoch, chunk.firstLogId, chunk.lastLogId, ownChunkId(chunk)],
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
       where l.id between $1 and $2 and l.state = 'submitting' and l.chunk_id is not distinct from $6
         and exists (select from send_chunks c where c.id = $3 and c.epoch = $4 for share)
      returning 1
    ), total as (select count(*) as n from moved)
    update message_counters c set submitting = c.submitting - n, unknown = c.unknown + n
      from total where c.message_id = $5 and n > 0`,
    [chunk.firstLogId, chunk.lastLogId, chunk.id, chunk.epoch, chunk.messageId, ownChunkId(chunk)],
  )
}
