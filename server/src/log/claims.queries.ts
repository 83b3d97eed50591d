import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import type { BroadcastClaim, Chunk, Claim } from './chunk.ts'
import { disabledCodes, isReply } from './disabled.sql.ts'

/**
 * A chunk is not leased this long before its window closes, in milliseconds: its texts would arrive after the window.
 */
export const closingReserveMs = 1_000

const isFree = raw(`(lease_until is null or lease_until < clock_timestamp())`)

type Gateway = Pick<Claim, 'owner' | 'leaseMs' | 'now' | 'limit' | 'codes'>

/** SQL that both kinds of claims share. */
type Shared = {
  now: Sql
  limit: Sql
  /** The condition under which a chunk can be leased now. */
  isOpen: Sql
  /** The condition under which the owner can send from a chunk's short code. */
  maySendFrom: Sql
}

/** How a claim finds its chunks. */
type Search = {
  /** Recursive steps through an index, and the CTE `candidates` (id, and the columns of the ranking). */
  candidates: Sql
  /** The order in which candidates are leased. */
  ranking: Sql
  /** Number of ranked candidates: more than the limit, because other gateways may be claiming some of them. */
  ranked: Sql
  /** The same order as an expression over `send_chunks`. */
  order: Sql
}

/**
 * Leases chunks: steps through the candidates, ranks them, locks the first ones that no other gateway is claiming
 * (`skip locked` on chunk rows), and returns them with the data of their messages. A chunk whose lease has expired is
 * taken over, and the new epoch invalidates later marks of its old owner. No chunk is leased while the installation's
 * sending is paused, and of a disabled account only replies to STOP and HELP.
 */
function lease(db: Db, name: string, gateway: Gateway, searchOf: (shared: Shared) => Search) {
  const now = param(gateway.now)
  const limit = param(gateway.limit)
  const isOpen = sql`not paused
             and (closes_at is null or closes_at > ${now}::timestamptz + ${raw(`interval '${closingReserveMs} milliseconds'`)})
             and ${isFree}`
  const maySendFrom = sql`(short_code_id = any(${gateway.codes?.ids ?? []}::bigint[])) <> ${gateway.codes?.allBut ?? true}`
  const search = searchOf({ now, limit, isOpen, maySendFrom })
  return db.many<Chunk>(
    name,
    sql`
    with recursive disabled as materialized (
      select ${raw(disabledCodes)} as codes
    ), ${search.candidates}, ranked as materialized (
      select array(select id from candidates order by ${search.ranking} limit ${search.ranked}) as ids
    ), locked as (
      select id from send_chunks
       where id = any((select ids from ranked)::bigint[]) and done_at is null and ${isOpen}
         and not exists (select from installation where sending_paused)
       order by ${search.order}
       limit ${limit}
         for update skip locked
    ), leased as (
      update send_chunks c
         set leased_by = ${gateway.owner}, epoch = c.epoch + 1,
             lease_until = clock_timestamp() + ${gateway.leaseMs} * interval '1 millisecond'
        from locked where c.id = locked.id
      returning c.id, c.epoch, c.message_id, c.logged_on, c.lane, c.first_log_id, c.last_log_id, c.closes_at,
                c.attempt
    )
    select l.id, l.epoch, m.account_id as "accountId", l.message_id as "messageId", l.logged_on as "loggedOn", l.lane,
           l.first_log_id as "firstLogId", l.last_log_id as "lastLogId", l.attempt, m.list_id as "listId",
           m.short_code_id as "shortCodeId", m.consent, m.content, s.code as "shortCode",
           l.closes_at as "closesAt", m.deliver_by as "deliverBy"
      from leased l
      -- a look-up per chunk, regardless of the statistics when this was planned
      cross join lateral (select * from messages where id = l.message_id offset 0) m
      cross join lateral (select code from short_codes where id = m.short_code_id offset 0) s
     order by l.lane, l.id`,
  )
}

/**
 * Leases open chunks of these lanes and short codes to `owner`, in the order of lanes and due times. The query steps
 * through an index from short code to short code, so that chunks of short codes that no gateway can send from cost no
 * time.
 */
export function claimChunks(db: Db, claim: Claim) {
  return lease(db, 'claim_chunks', claim, ({ now, limit, isOpen, maySendFrom }) => ({
    candidates: sql`code as (
      (select short_code_id from send_chunks
        where done_at is null and not paused
        order by short_code_id limit 1)
      union all
      select next.short_code_id
        from code cross join lateral (
          select short_code_id from send_chunks
           where done_at is null and not paused and short_code_id > code.short_code_id
           order by short_code_id limit 1) next
    ), sender as materialized (
      select short_code_id, short_code_id = any((select codes from disabled)::bigint[]) as is_disabled
        from code where ${maySendFrom}
    ), candidates as materialized (
      select c.id, c.lane, c.due_at
        from sender cross join generate_series(${claim.fromLane}::int, ${claim.toLane}::int) as lanes(lane) cross join lateral (
          select id, lane, due_at from send_chunks
           where short_code_id = sender.short_code_id and lane = lanes.lane and done_at is null and due_at <= ${now}
             and ${isOpen} and (not sender.is_disabled or ${raw(isReply)})
           order by due_at, id
           limit 4 * ${limit}::int) c
       where lanes.lane = 0 or not sender.is_disabled
    )`,
    ranking: sql`lane, due_at, id`,
    ranked: sql`4 * ${limit}::int`,
    order: sql`lane, due_at, id`,
  }))
}

/**
 * Leases open chunks of broadcasts in turn: one of each account before a second one of any, and of an account, one of
 * each broadcast before a second one of any. The query steps through an index from broadcast to broadcast, so that
 * skipping a broadcast of 680 chunks costs no more than skipping one chunk.
 */
export function claimBroadcasts(db: Db, claim: BroadcastClaim) {
  return lease(db, 'claim_broadcasts', claim, ({ now, limit, isOpen, maySendFrom }) => ({
    candidates: sql`broadcast as (
      (select message_id, short_code_id from send_chunks
        where done_at is null and not paused and lane = 2
        order by message_id limit 1)
      union all
      select next.message_id, next.short_code_id
        from broadcast b cross join lateral (
          select message_id, short_code_id from send_chunks
           where done_at is null and not paused and lane = 2 and message_id > b.message_id
           order by message_id limit 1) next
    ), free_chunks as (
      select c.id, c.chunk_number, b.message_id, m.account_id,
             array_position(${claim.served}::bigint[], b.message_id) as served
        from broadcast b
       cross join lateral (select account_id from messages where id = b.message_id offset 0) m
       cross join lateral (
          select id, row_number() over (order by due_at, id) as chunk_number
            from (select id, due_at from send_chunks
                   where message_id = b.message_id and done_at is null and lane = 2 and due_at <= ${now}
                     and ${isOpen}
                   order by due_at, id
                   limit 2 * ${limit}::int) free) c
       where ${maySendFrom} and b.message_id <> all(${claim.enough}::bigint[])
         and m.account_id <> all(${claim.exceptAccounts}::bigint[])
         and b.short_code_id <> all((select codes from disabled)::bigint[])
    ), candidates as materialized (
      select id, account_id,
             row_number() over (partition by account_id order by chunk_number, served nulls first, message_id)
               as account_turn,
             chunk_number, served, message_id
        from free_chunks
    )`,
    ranking: sql`account_turn, array_position(${claim.servedAccounts}::bigint[], account_id) nulls first,
                 chunk_number, served nulls first, message_id`,
    ranked: sql`2 * ${limit}::int`,
    order: sql`array_position((select ids from ranked), id)`,
  }))
}
