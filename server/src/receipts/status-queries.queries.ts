import type { Db } from '../db/db.ts'
import { logTable, submitsTable } from '../log/log-days.ts'

/** A round of status queries: the texts of one connection and day; `cursor` is the id of the last row that was queried. */
export type QueryRound = { connectionId: number; loggedOn: string; cursor: number }

/** Leases a due round of the connection, for one of these days; undefined if there is none. Deletes rounds of other days. */
export async function claimQueryRound(db: Db, connectionId: number, days: string[], now: Date, leaseMs: number) {
  await db.exec(
    'make_query_rounds',
    /* sql */ `
    with deleted_rounds as (
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

/** Releases a round, which continues after the row `cursor`, or starts again at `nextAt`; no effect if its cursor has changed. */
export async function releaseQueryRound(db: Db, round: QueryRound, cursor: number, nextAt: Date | null) {
  await db.exec(
    'release_query_round',
    /* sql */ `
    update query_rounds set cursor_log_id = $4, due_at = coalesce($5, due_at), lease_until = null
     where connection_id = $1 and logged_on = $2 and cursor_log_id = $3`,
    [round.connectionId, round.loggedOn, round.cursor, cursor, nextAt],
  )
}

/** A part of a text that was sent and has no receipt yet; `spelling` is its SMSC id as in the response. */
export type PartWithoutReceipt = { logId: number; phone: number; shortCode: string; smscId: string; spelling: string }

/** Maximum number of log rows that one call reads. */
const maxRows = 5_000

/**
 * Returns the parts of the next texts of a round that were submitted before `before` and have no receipt yet, in the order of
 * their rows, for at most `limit` texts. `last` is the row after which to continue; null at the end of the day.
 */
export async function listPartsWithoutReceipt(db: Db, round: QueryRound, before: Date, limit: number) {
  const { ids, last } = await db.one<{ ids: number[]; last: number | null }>(
    `list_texts_without_receipt_${round.loggedOn}`,
    /* sql */ `
    with next_rows as materialized (
      select id, state, submitted_at, carrier_status from ${logTable(round.loggedOn)}
       where id > $1 order by id limit ${maxRows}
    ), texts as materialized (
      select id from next_rows
       where state = 'sent' and submitted_at < $2 and carrier_status is distinct from 'no id'
       order by id limit $3
    )
    select coalesce(array_agg(id), '{}')::bigint[] as ids,
           case when count(*) = $3 then max(id) else (select max(id) from next_rows) end as last
      from texts`,
    [round.cursor, before, limit],
  )
  if (ids.length === 0) return { parts: [], last }
  const parts = await db.tx(async (tx) => {
    // the planner uses a BRIN index only in bitmap scans, which gateways disable otherwise
    await tx.exec('allow_bitmap_scan', `set local enable_bitmapscan = on`)
    return tx.many<PartWithoutReceipt>(
      `list_parts_without_receipt_${round.loggedOn}`,
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
  return { parts, last }
}
