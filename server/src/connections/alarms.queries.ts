import type { Db } from '../db/db.ts'

/** Alarms that are stored, because no other row shows their condition. */
export type StoredAlarm = { connectionId: number; name: 'account_rejected' | 'one_receipt_per_text'; detail: string }

/** Raises an alarm; if it is raised already, refreshes its detail and the time at which its condition was last seen. */
export async function raiseAlarm(db: Db, { connectionId, name, detail }: StoredAlarm, at: Date): Promise<void> {
  await db.exec(
    'raise_alarm',
    /* sql */ `
    insert into connection_alarms as a (connection_id, name, since, seen_at, detail) values ($1, $2, $4, $4, $3)
        on conflict (connection_id, name) do update
       set detail = excluded.detail, seen_at = greatest(a.seen_at, excluded.seen_at)`,
    [connectionId, name, detail.slice(0, 500), at],
  )
}

/** Ends an alarm whose condition was last seen before a time; another gateway may have seen it since. */
export async function endAlarm(
  db: Db,
  { connectionId, name }: Pick<StoredAlarm, 'connectionId' | 'name'>,
  before: Date,
): Promise<void> {
  await db.exec(
    'end_alarm',
    /* sql */ `delete from connection_alarms where connection_id = $1 and name = $2 and seen_at < $3`,
    [connectionId, name, before],
  )
}

export type FoundAlarm = {
  connectionId: number
  connection: string
  name: string
  since: Date
  /** Number of binds, MOs, receipts or texts; of rows that are listed, at most 1,000. */
  count: number
  /** Number of those that are of the second kind, such as receipts without a known state; of texts, all of them. */
  second: number
  detail: string
}

/** Maximum number of rows that one alarm counts. */
export const maxCounted = 1_000

/** How long an unmatched MO, an orphan receipt or a proposal is an alarm. */
const recent = { rows: `interval '1 day'`, optOuts: `interval '30 days'`, proposals: `interval '7 days'` }

/**
 * Returns the alarms of these enabled connections, or of all if `ids` is null. Each part reads a bounded number of rows by an
 * index, however many MOs, receipts and texts there are.
 */
export function listAlarms(db: Db, ids: number[] | null, now: Date) {
  return db.many<FoundAlarm>(
    'list_alarms',
    /* sql */ `
    with enabled as materialized (
      select id, name, receipts, slots from connections where enabled and ($1::smallint[] is null or id = any($1))
    ), recent_messages as materialized (
      select id, short_code_id, sent_at from messages
       where status = 'sent' and closed_at is null and sent_at < $2::timestamptz - interval '1 hour'
       order by sent_at desc limit 200
    ), silent as materialized (
      select m.short_code_id, min(m.sent_at) as since, sum(t.sent) as missing,
             sum(t.sent + t.delivered + t.bounced + t.expired) as texts
        from recent_messages m
       cross join lateral (select sum(sent) as sent, sum(delivered) as delivered, sum(bounced) as bounced,
                                  sum(expired) as expired
                             from message_counters where message_id = m.id) t
       group by m.short_code_id
      having sum(t.sent) >= 20 and sum(t.sent) * 10 >= 3 * sum(t.sent + t.delivered + t.bounced + t.expired)
    ), alarms as (
      select s.connection_id, 'bind_failing' as name, min(s.failing_since) as since, count(*) as count, 0 as second,
             coalesce(max(s.last_error), '') as detail
        from bind_slots s join enabled c on c.id = s.connection_id
       where s.slot < c.slots and s.failing_since < clock_timestamp() - interval '1 minute'
       group by s.connection_id
      union all
      select c.id, 'opt_outs_unapplied', i.since, i.count, 0, ''
        from enabled c
       cross join lateral (select min(received_at) as since, count(*) as count
                             from (select received_at from inbound_messages
                                    where connection_id = c.id and kind = 'opt_out' and opted_out_at is null
                                      and interpreted_at is not null
                                      and received_at > $2::timestamptz - ${recent.optOuts}
                                    order by received_at limit ${maxCounted}) r) i
       where i.count > 0
      union all
      select c.id, 'mos_unmatched', i.since, i.count, i.second, ''
        from enabled c
       cross join lateral (select min(received_at) as since, count(*) as count,
                                  count(*) filter (where problem = 'sender') as second
                             from (select received_at, problem from inbound_messages
                                    where connection_id = c.id and problem is not null
                                    order by id desc limit ${maxCounted}) r
                            where received_at > $2::timestamptz - ${recent.rows}) i
       where i.count > 0
      union all
      select c.id, 'receipts_unmatched', r.since, r.count, r.second, ''
        from enabled c
       cross join lateral (select min(ended_at) as since, count(*) as count, count(*) filter (where is_unread) as second
                             from (select ended_at, state is null as is_unread from receipts
                                    where connection_id = c.id and outcome = 'orphan'
                                    order by id desc limit ${maxCounted}) r
                            where ended_at > $2::timestamptz - ${recent.rows}) r
       where r.count > 0
      union all
      select c.id, 'receipts_missing', min(s.since), sum(s.missing)::bigint, sum(s.texts)::bigint, ''
        from enabled c join silent s
          on exists (select from short_code_routes r where r.short_code_id = s.short_code_id and r.connection_id = c.id)
          or (select serves_all from connections where id = c.id)
             and not exists (select from short_code_routes r where r.short_code_id = s.short_code_id)
       group by c.id
      union all
      select a.connection_id, a.name, a.since, 1, 0, a.detail
        from connection_alarms a join enabled c on c.id = a.connection_id
       where a.name = 'account_rejected'
          or a.name = 'one_receipt_per_text' and c.receipts = 'each_part'
             and a.seen_at > $2::timestamptz - ${recent.proposals}
    )
    select a.connection_id as "connectionId", c.name as connection, a.name, a.since, a.count::bigint, a.second::bigint, a.detail
      from alarms a join enabled c on c.id = a.connection_id
     order by a.connection_id, a.since, a.name`,
    [ids, now],
  )
}
