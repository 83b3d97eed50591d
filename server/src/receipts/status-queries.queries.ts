import type { Db } from '../db/db.ts'
import { logTable, submitsTable } from '../log/log-days.ts'

/** A day of a connection whose texts without a receipt are queried, and the last row that was queried. */
export type QueryRound = { connectionId: number; loggedOn: string; cursor: number }

/** Leases a round of the connection that is due, of these days only; undefined when there is none. */
export async function claimQueryRound(db: Db, connectionId: number, days: string[], now: Date, leaseMs: number) {
  await db.exec(
    'make_query_rounds',
    /* sql */ `
    with over as (
      delete from query_rounds where connection_id = $1 and logged_on <> all($2::date[])
    )
    insert into query_rounds (connection_id, logged_on, due_at)
    select $1, day, $3 from unnest($2::date[]) as day
        on conflict do nothing`,
    [connectionId, days, now],
  )
  return db.maybeOne<QueryRound>(
    'claim_query_round',
    /* sql */ `
    update query_rounds q set lease_until = clock_timestamp() + $3 * interval '1 millisecond'
      from (select logged_on from query_rounds
             where connection_id = $1 and due_at <= $2 and (lease_until is null or lease_until < clock_timestamp())
             order by due_at, logged_on limit 1
               for update skip locked) picked
     where q.connection_id = $1 and q.logged_on = picked.logged_on
    returning q.connection_id as "connectionId", q.logged_on as "loggedOn", q.cursor_log_id as cursor`,
    [connectionId, now, leaseMs],
  )
}

/** Releases the lease of a round. The next one continues after this row, or starts from the beginning at `nextAt`. */
export async function releaseQueryRound(db: Db, round: QueryRound, cursor: number, nextAt: Date | null) {
  await db.exec(
    'release_query_round',
    /* sql */ `
    update query_rounds set cursor_log_id = $4, due_at = coalesce($5, due_at), lease_until = null
     where connection_id = $1 and logged_on = $2 and cursor_log_id = $3`,
    [round.connectionId, round.loggedOn, round.cursor, cursor, nextAt],
  )
}

/** A part that was sent and has no receipt yet. */
export type Unheard = { logId: number; phone: number; shortCode: string; smscId: string; spelling: string }

/** Maximum number of log rows that one call reads. */
const rowsAtOnce = 5_000

/**
 * The next texts of a round that were submitted before `before` and are still without a receipt, in the order of their
 * rows, and the row to continue after; null at the end of the day.
 */
export async function listUnheard(db: Db, round: QueryRound, before: Date, limit: number) {
  const { ids, last } = await db.one<{ ids: number[]; last: number | null }>(
    `list_unheard_${round.loggedOn}`,
    /* sql */ `
    with looked as materialized (
      select id, state, submitted_at, carrier_status from ${logTable(round.loggedOn)}
       where id > $1 order by id limit ${rowsAtOnce}
    ), waiting as materialized (
      select id from looked
       where state = 'sent' and submitted_at < $2 and carrier_status is distinct from 'no id'
       order by id limit $3
    )
    select coalesce(array_agg(id), '{}')::bigint[] as ids,
           case when count(*) = $3 then max(id) else (select max(id) from looked) end as last
      from waiting`,
    [round.cursor, before, limit],
  )
  if (ids.length === 0) return { unheard: [], last }
  const unheard = await db.tx(async (tx) => {
    // a BRIN index is read by a bitmap scan only
    await tx.exec('allow_coarse_index', `set local enable_bitmapscan = on`)
    return tx.many<Unheard>(
      `list_unheard_parts_${round.loggedOn}`,
      /* sql */ `
      select l.id as "logId", l.phone, c.code as "shortCode", s.smsc_id as "smscId",
             coalesce(s.spelling, s.smsc_id) as spelling
        from ${submitsTable(round.loggedOn)} s
       cross join lateral (select id, phone, message_id, parts_delivered from ${logTable(round.loggedOn)}
                            where id = s.log_id offset 0) l
       cross join lateral (select short_code_id from messages where id = l.message_id offset 0) m
       cross join lateral (select code from short_codes where id = m.short_code_id offset 0) c
       where s.log_id between $1 and $2 and s.log_id = any($3::bigint[]) and s.connection_id = $4
         and (s.part < 0 or l.parts_delivered & (1 << s.part) = 0)
       order by l.id, s.part`,
      [ids[0], ids.at(-1), ids, round.connectionId],
    )
  })
  return { unheard, last }
}
