import type { Db } from '../db/db.ts'
import type { BroadcastClaim, Chunk, Claim } from './chunk.ts'

/** Time before the end of its window in which a chunk is not leased: a text that is marked now arrives only after it. */
export const closingReserveMs = 1_000

const isFree = `(lease_until is null or lease_until < clock_timestamp())`
const isOpen = `not paused and (closes_at is null or closes_at > $3::timestamptz + interval '${closingReserveMs} milliseconds')`
const mayBeSentFrom = `(short_code_id = any($8::bigint[])) <> $7`

/** Leases the chunks of a CTE `picked` (id) to $1 for $2 milliseconds, and returns them with data of their messages. */
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
      -- a look-up per chunk, whatever the statistics were when this was planned
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
           -- more than wanted, because other gateways may be claiming the same
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
                   -- more than wanted, because other gateways may be claiming the same
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
