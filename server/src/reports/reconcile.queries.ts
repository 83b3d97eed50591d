import type { Db } from '../db/db.ts'
import { param, raw, sql } from '../db/sql.ts'
import { totalsOf } from '../log/counters.sql.ts'
import { logTable } from '../log/log-days.ts'
import { states } from '../log/transitions.ts'
import { wasReceived } from '../subscribers/received.sql.ts'
import { logRanges } from './log-ranges.sql.ts'

/** A counter that differs from what was counted again. */
export type Difference = { subject: string; counter: string; stored: number; recomputed: number }

export type CountedMessage = { id: number; loggedOn: string; audience: number }

/** Returns the next accepted messages whose day is in a period, and the last id that was read; null at the end. */
export async function listMessagesToCount(
  db: Db,
  { from, to }: { from: string; to: string },
  after: number,
  limit: number,
): Promise<{ messages: CountedMessage[]; last: number | null }> {
  const rows = await db.many<CountedMessage & { isInPeriod: boolean }>(
    'list_messages_to_count',
    /* sql */ `
    select m.id, m.logged_on::text as "loggedOn", coalesce(c.audience, 0) as audience, coalesce(m.logged_on between $1::date and $2::date, false) as "isInPeriod"
      from (select * from messages where id > $3 order by id limit $4) m
      left join ${totalsOf('m.id')} c on true
     order by m.id`,
    [from, to, after, limit],
  )
  return { messages: rows.filter(({ isInPeriod }) => isInPeriod), last: rows.at(-1)?.id ?? null }
}

const countedStates = states
  .map((state) => `count(*) filter (where l.state = '${state}') as ${state},`)
  .join('\n             ')

/** The counters, each with its stored value (`c`) and what was counted (`n`), as rows of a `values` list. */
const comparedCounters = ['audience', ...states, 'clean_count']
  .map((name) => `('${name}', coalesce(c.${name}, 0), coalesce(n.${name}, 0))`)
  .join(', ')

/** Compares the counters of messages of one day with their log rows and the ledger, all in one snapshot. */
export function compareCounters(db: Db, day: string, messageIds: number[]) {
  const ids = param(messageIds)
  return db.many<Difference>(
    `compare_counters_${day}`,
    sql`
    with ${logRanges(day, ids)}, counted as materialized (
      select r.message_id, count(*) as audience,
             ${raw(countedStates)}
             -- the ledger names the text because of which a number was cleaned
             count(*) filter (where l.reason in ('hard', 'soft') and l.state in ('bounced', 'expired') and exists (
               select from opts o
                where o.list_id = (select list_id from messages where id = r.message_id) and o.phone = l.phone
                  and o.kind = 'cleaned' and o.actor = 'mt:' || l.id)) as clean_count
        from ranges r
       cross join lateral (
         select id, phone, state, reason from ${logTable(day)}
          where id between r.first and r.last and message_id = r.message_id offset 0) l
       group by r.message_id
    )
    select 'message ' || g.id as subject, v.counter, v.stored, v.recomputed
      from unnest(${ids}::bigint[]) as g (id)
      left join ${totalsOf('g.id')} c on true
      left join lateral (select * from counted where message_id = g.id) n on true
     cross join lateral (values ${raw(comparedCounters)}) as v (counter, stored, recomputed)
     where v.stored <> v.recomputed
     order by g.id`,
  )
}

/** Returns the number of log rows of a day. */
export async function countRowsOfDay(db: Db, day: string): Promise<number> {
  const { n } = await db.one<{ n: number }>(`count_rows_of_day_${day}`, `select count(*) as n from ${logTable(day)}`)
  return n
}

/** Compares the number of log rows of a day with the counters of its messages in one snapshot, by reading all messages. */
export function compareDay(db: Db, day: string) {
  return db.many<Difference>(
    `compare_day_${day}`,
    /* sql */ `
    select 'day ' || $1::text as subject, 'rows' as counter, stored, recomputed
      from (select coalesce(sum(c.audience), 0)::bigint as stored
              from messages m cross join ${totalsOf('m.id')} c where m.logged_on = $1::date) s,
           (select count(*) as recomputed from ${logTable(day)}) r
     where stored <> recomputed`,
    [day],
  )
}

/** Returns the archived days (YYYY-MM-DD) of a period that the log no longer has, in order. */
export async function listArchivedDays(db: Db, { from, to }: { from: string; to: string }): Promise<string[]> {
  const rows = await db.many<{ day: string }>(
    'list_archived_days',
    /* sql */ `
    select day::text from log_archives
     where state in ('detached', 'dropped') and day between $1::date and $2::date order by day`,
    [from, to],
  )
  return rows.map(({ day }) => day)
}

const comparedStates = ['audience', ...states]

/** Compares the counters of the messages of an archived day, added up by account, with the numbers of rows of its archive. */
export function compareArchive(db: Db, day: string) {
  return db.many<Difference>(
    'compare_archive',
    /* sql */ `
    with stored as materialized (
      select a.id as account_id, s.*
        from accounts a
       cross join lateral (
         select ${comparedStates.map((name) => `coalesce(sum(c.${name}), 0)::bigint as ${name}`).join(', ')}
           from (select id from messages where account_id = a.id and accepted_at >= $1::date::timestamptz
                    and accepted_at < ($1::date + 1)::timestamptz and logged_on = $1::date offset 0) m
          cross join ${totalsOf('m.id')} c) s
    ), archived as materialized (
      select f.account_id, s.key as counter, sum(s.value::bigint)::bigint as n
        from log_archive_files f cross join lateral jsonb_each_text(f.states) s
       where f.day = $1::date group by 1, 2
    )
    select 'account ' || s.account_id || ', archived day ' || $1::text as subject, v.counter, v.stored, v.archived as recomputed
      from stored s
     cross join lateral (
       select c.counter, c.stored,
              coalesce((select sum(n) from archived a
                         where a.account_id = s.account_id and c.counter in (a.counter, 'audience')), 0)::bigint as archived
         from (values ${comparedStates.map((name) => `('${name}', s.${name})`).join(', ')}) as c (counter, stored)) v
     where v.stored <> v.archived
     order by s.account_id`,
    [day],
  )
}

/** Returns the ids of the lists behind one that are not deleted, in order. */
export async function listListIds(db: Db, after: number, limit: number): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_list_ids',
    /* sql */ `select id from lists where id > $1 and deleted_at is null order by id limit $2`,
    [after, limit],
  )
  return rows.map(({ id }) => id)
}

/** Compares the counts of a list, and of its ranges of numbers, with its subscribers in one snapshot. */
export function compareListCounts(db: Db, listId: number) {
  return db.many<Difference>(
    'compare_list_counts',
    /* sql */ `
    with actual as materialized (
      select phone / 100000 as prefix, count(*) filter (where state = 'subscribed') as subscribed,
             count(*) filter (where state = 'unsubscribed') as unsubscribed, count(*) filter (where state = 'cleaned') as cleaned
        from subscribers where list_id = $1 group by 1
    ), deltas as materialized (
      select prefix, sum(subscribed) as subscribed, sum(unsubscribed) as unsubscribed, sum(cleaned) as cleaned
        from list_deltas where list_id = $1 group by prefix
    ), stored as (
      select prefix, subscribed, unsubscribed, cleaned from number_ranges where list_id = $1
       union all
      select prefix, subscribed, unsubscribed, cleaned from deltas where prefix > 0
       union all
      select prefix / 100, subscribed, unsubscribed, cleaned from deltas where prefix > 0
       union all
      select 0, subscribed_count, unsubscribed_count, cleaned_count from lists where id = $1
       union all
      select 0, subscribed, unsubscribed, cleaned from deltas
    ), recomputed as (
      select prefix, subscribed, unsubscribed, cleaned from actual
       union all
      select prefix / 100, subscribed, unsubscribed, cleaned from actual
       union all
      select 0, subscribed, unsubscribed, cleaned from actual
    ), compared as (
      select prefix, sum(subscribed) as subscribed, sum(unsubscribed) as unsubscribed, sum(cleaned) as cleaned,
             sum(was_subscribed) as was_subscribed, sum(was_unsubscribed) as was_unsubscribed, sum(was_cleaned) as was_cleaned
        from (select prefix, subscribed, unsubscribed, cleaned, 0 as was_subscribed, 0 as was_unsubscribed, 0 as was_cleaned
                from recomputed
               union all
              select prefix, 0, 0, 0, subscribed, unsubscribed, cleaned from stored) sides
       group by prefix
    )
    select 'list ' || $1::bigint || case when prefix > 0 then ', numbers ' || prefix || '...' else '' end as subject,
           v.counter, v.stored::bigint as stored, v.recomputed::bigint as recomputed
      from compared c
     cross join lateral (values ('subscribed', was_subscribed, subscribed), ('unsubscribed', was_unsubscribed, unsubscribed),
                                ('cleaned', was_cleaned, cleaned)) as v (counter, stored, recomputed)
     where v.stored <> v.recomputed
     order by prefix limit 100`,
    [listId],
  )
}

/** Received texts of the numbers of an area code: their number, and the sum of a hash of each text's number. */
export type ReceivedByArea = { area: number; texts: number; hash: string }

/** A broadcast whose received texts up to a log id are in `received_counts`. */
export type ReceivedBroadcast = {
  id: number
  loggedOn: string
  through: number
  closedAt: string | null
  audience: number
}

/** Returns the stored received counts of a list by area code, and the broadcasts that they count, in one snapshot. */
export function findReceivedCounts(db: Db, listId: number) {
  return db.one<{ stored: ReceivedByArea[]; broadcasts: ReceivedBroadcast[] }>(
    'find_received_counts',
    /* sql */ `
    select (select coalesce(json_agg(a), '[]')
              from (select phone / 10000000 as area, sum(messages) as texts, sum(messages * hashint8(phone)::numeric)::text as hash
                      from received_counts where list_id = $1 group by 1) a) as stored,
           (select coalesce(json_agg(json_build_object('id', m.id, 'loggedOn', m.logged_on, 'through', m.received_through,
                                                       'closedAt', m.closed_at, 'audience', c.audience) order by m.id), '[]')
              from messages m cross join ${totalsOf('m.id')} c
             where m.list_id = $1 and m.kind = 'broadcast' and m.received_through > 0) as broadcasts`,
    [listId],
  )
}

/** Counts the received texts of a broadcast by area code, from its log rows. */
export function countReceivedTexts(db: Db, { id, loggedOn, through, closedAt }: ReceivedBroadcast) {
  return db.many<ReceivedByArea>(
    `count_received_texts_${loggedOn}`,
    sql`
    with ${logRanges(loggedOn, param([id]))}
    select l.phone / 10000000 as area, count(*) as texts, sum(hashint8(l.phone)::numeric)::text as hash
      from ranges r
     cross join lateral (
       select phone from ${logTable(loggedOn)} g
        where id between r.first and least(r.last, ${through}::bigint) and message_id = ${id}
          and ${wasReceived('g')}
          -- a receipt that comes after the message was closed is not counted
          and (${closedAt}::timestamptz is null or g.closed_at is null or g.closed_at <= ${closedAt}::timestamptz)
        offset 0) l
     group by 1`,
  )
}
