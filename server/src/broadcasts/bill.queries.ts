import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { totalsOf } from '../log/counters.sql.ts'
import { ofRound } from '../log/failures.sql.ts'
import { logTable } from '../log/log-days.ts'
import { priceOfPart } from '../rates/rates.sql.ts'

type Nullable<T> = { [Key in keyof T]: T[Key] | null }

export type Billable = { messageId: number; accountId: number; loggedOn: string; audience: number }

/** The condition of the index of unbilled messages. */
const isUnbilled = /* sql */ `
  m.billed_at is null and m.accepted_at is not null and m.status in ('sent', 'cancelled')`

/** Returns up to `limit` accounts with unbilled messages by id, from the one behind `after` on. */
export async function listUnbilledAccounts(db: Db, after: number, limit: number): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_unbilled_accounts',
    /* sql */ `
    with recursive found (id, n) as (
      -- one look-up per account
      (select m.account_id, 1 from messages m where ${isUnbilled} and m.account_id > $1 order by m.account_id limit 1)
      union all
      select (select m.account_id from messages m
               where ${isUnbilled} and m.account_id > found.id order by m.account_id limit 1),
             n + 1
        from found where id is not null and n < $2
    )
    select id from found where id is not null order by id`,
    [after, limit],
  )
  return rows.map(({ id }) => id)
}

/** Returns the account of a message; undefined if the message does not exist. */
export function findAccountOf(db: Db, messageId: number) {
  return db.maybeOne<{ accountId: number }>(
    'find_account_of_message',
    /* sql */ `select account_id as "accountId" from messages where id = $1`,
    [messageId],
  )
}

/** An account, and the id of the message behind which its messages are read. */
export type BillingStart = { accountId: number; after: number }

/** The next messages of an account. `last` is the id of the last one that was read; null if all of them were read. */
export type UnbilledPage = { accountId: number; last: number | null; messages: Billable[] }

/** The unbilled messages of `given` in order. */
const unbilledOfGiven = /* sql */ `
  select m.id, m.account_id from messages m
   where ${isUnbilled}
     -- not =, with which the primary key, and a scan of all billed messages, would have the order as well
     and (m.account_id, m.id) > (given.account_id, given.after) and m.account_id <= given.account_id
   order by m.account_id, m.id`

/**
 * Locks up to `share` messages without a bill of each of these accounts that are sent or cancelled and have no row queued or
 * submitting: those whose billing has not failed, or only this one. Reads at most ten times as many. Skips messages
 * that another worker has locked. The pages are in the order of the accounts.
 */
export async function claimUnbilled(
  tx: Db,
  starts: BillingStart[],
  share: number,
  only: number | null,
): Promise<UnbilledPage[]> {
  const rows = await tx.many<{ accountId: number; last: number | null } & Nullable<Omit<Billable, 'accountId'>>>(
    'claim_unbilled',
    /* sql */ `
    select given.account_id as "accountId", (select id from (${unbilledOfGiven} offset $3::int * 10 - 1 limit 1) page) as last,
           u.id as "messageId", u.logged_on::text as "loggedOn", u.audience
      from unnest($1::bigint[], $2::bigint[]) with ordinality as given(account_id, after, n)
      left join lateral (
        select m.id, m.logged_on, c.audience
          from (${unbilledOfGiven} limit $3::int * 10) page
          join messages m on m.id = page.id
         cross join ${totalsOf('m.id')} c
         where ${isUnbilled} and c.queued = 0 and c.submitting = 0 and ${ofRound('bill', 'm.id', 4)}
         order by page.account_id, page.id limit $3::int
           for no key update of m skip locked) u on true
     order by given.n, u.id`,
    [starts.map((start) => start.accountId), starts.map((start) => start.after), share, only],
  )
  return [...Map.groupBy(rows, (row) => row.accountId)].map(([accountId, ofAccount]) => ({
    accountId,
    last: ofAccount[0]?.last ?? null,
    messages: ofAccount.flatMap(({ messageId, loggedOn, audience }) =>
      messageId === null || loggedOn === null || audience === null
        ? []
        : [{ messageId, accountId, loggedOn, audience }],
    ),
  }))
}

export type IdRange = { messageId: number; listId: number | null; first: number; last: number }

/** Returns the id ranges of these messages' log rows in order; the ids of retried texts are in two ranges. */
export function listRanges(db: Db, messageIds: number[]) {
  return db.many<IdRange>(
    'list_ranges',
    /* sql */ `
    select m.id as "messageId", m.list_id as "listId", c.first_log_id as first, c.last_log_id as last
      from unnest($1::bigint[]) as given(id)
      join messages m on m.id = given.id
     cross join lateral (
       select first_log_id, last_log_id from send_chunks where message_id = m.id offset 0) c
     order by c.first_log_id, c.last_log_id`,
    [messageIds],
  )
}

/** The parts of one message to phones of one carrier. */
export type Tally = {
  messageId: number
  carrier: number | null
  parts: number
  /** The billable ones of these parts: all but those that the SMSC rejected in its response. */
  billable: number
  least: number
  most: number
}

/** Adds up the parts of the log rows of a day in these ranges, by message and by the phone's carrier. */
export function tally(db: Db, day: string, ranges: IdRange[]) {
  return db.many<Tally>(
    `tally_${day}`,
    /* sql */ `
    with counted as materialized (
      select l.message_id, coalesce(look_up.carrier, nullif(s.carrier, 0)) as carrier, l.part_count,
             -- the carrier_status of a text that was rejected in the response is the name or number of a command_status
             case when l.state <> 'bounced' or l.carrier_status !~ '^(ESME_|0x)' then l.part_count else 0 end as billable
        from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as r(message_id, first, last, list_id)
       cross join lateral (
         select message_id, phone, part_count, state, coalesce(carrier_status, '') as carrier_status
           from ${logTable(day)}
          where id between r.first and r.last and message_id = r.message_id
            and state in ('queued', 'submitting', 'sent', 'unknown', 'delivered', 'bounced', 'expired')
         offset 0) l
        left join lateral (select carrier from number_look_ups where phone = l.phone offset 0) look_up on true
        left join lateral (
          select carrier from subscribers
           where look_up.carrier is null and list_id = r.list_id and phone = l.phone offset 0) s on true
    )
    select message_id as "messageId", carrier, sum(part_count) as parts, sum(billable) as billable,
           min(part_count) as least, max(part_count) as most
      from counted group by message_id, carrier`,
    [
      ranges.map((range) => range.messageId),
      ranges.map((range) => range.first),
      ranges.map((range) => range.last),
      ranges.map((range) => range.listId),
    ],
  )
}

/** Returns those of these messages that have suppressed recipients. */
export async function listSuppressing(db: Db, messageIds: number[]): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_suppressing',
    /* sql */ `
    select given.id from unnest($1::bigint[]) as given(id) cross join ${totalsOf('given.id')} c where c.suppressed > 0`,
    [messageIds],
  )
  return rows.map((row) => row.id)
}

/** Counts the suppressed log rows of a day in these ranges, by message and reason. */
export function countSuppressed(db: Db, day: string, ranges: IdRange[]) {
  return db.many<{ messageId: number; reason: string; n: number }>(
    `count_suppressed_${day}`,
    /* sql */ `
    select l.message_id as "messageId", l.reason, count(*) as n
      from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as r(message_id, first, last)
     cross join lateral (
       select message_id, coalesce(reason, 'unknown') as reason from ${logTable(day)}
        where id between r.first and r.last and message_id = r.message_id and state = 'suppressed' offset 0) l
     group by l.message_id, l.reason`,
    [ranges.map((range) => range.messageId), ranges.map((range) => range.first), ranges.map((range) => range.last)],
  )
}

/** The number of suppressed recipients by reason. */
export type Suppressions = Record<string, number>

/**
 * Writes or corrects the bills of these messages: the sums of their tallies, the cost at the rates of the day on which
 * they were accepted, and the suppressed recipients by reason. A message without a tally has a bill of zero parts.
 */
export async function writeBills(
  tx: Db,
  messageIds: number[],
  tallies: Tally[],
  suppressions: Map<number, Suppressions>,
  at: Date,
): Promise<void> {
  const [ids, now] = [param(messageIds), param(at)]
  const reasons = messageIds.map((id) => JSON.stringify(suppressions.get(id) ?? {}))
  const rate = priceOfPart({ accountId: sql`m.account_id`, carrier: sql`t.carrier`, day: sql`m.logged_on` })
  await tx.exec(
    'write_bills',
    sql`
    with priced as (
      select t.message_id, t.parts, t.least, t.most, t.billable * coalesce(rate.price, 0) as cost
        from unnest(${tallies.map((one) => one.messageId)}::bigint[], ${tallies.map((one) => one.carrier)}::int[],
                    ${tallies.map((one) => one.parts)}::bigint[], ${tallies.map((one) => one.billable)}::bigint[],
                    ${tallies.map((one) => one.least)}::smallint[], ${tallies.map((one) => one.most)}::smallint[])
               as t(message_id, carrier, parts, billable, least, most)
        join messages m on m.id = t.message_id
        left join lateral ${rate} rate on true
    ), billed as (
      insert into message_bills (message_id, parts, least_parts, most_parts, cost, suppressions, billed_at)
      select id, coalesce(sum(p.parts), 0), coalesce(min(p.least), 0), coalesce(max(p.most), 0), coalesce(sum(p.cost), 0),
             reasons::jsonb, ${now}
        from unnest(${ids}::bigint[], ${reasons}::text[]) as m(id, reasons) left join priced p on p.message_id = m.id
       group by id, reasons
          on conflict (message_id) do update
         set parts = excluded.parts, least_parts = excluded.least_parts, most_parts = excluded.most_parts,
             cost = excluded.cost, suppressions = excluded.suppressions, billed_at = excluded.billed_at
    )
    update messages set billed_at = ${now} where id = any(${ids}::bigint[])`,
  )
}
