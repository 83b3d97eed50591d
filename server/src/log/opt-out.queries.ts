import type { Db } from '../db/db.ts'
import { param, type Sql, sql } from '../db/sql.ts'
import { addToCounter, countMoves } from './counters.sql.ts'
import { lastTexts, lastTextsOfNoList, openTexts } from './last-texts.sql.ts'
import { logTable } from './log-days.ts'
import { from, to } from './transitions.ts'

/**
 * The texts that an opt-out stops: those of these lists and, unless `shortCodeId` is null, all texts from that short
 * code.
 */
export type OptOutScope = { listIds: number[]; shortCodeId: number | null }

const isInScope = ({ listIds, shortCodeId }: OptOutScope): Sql =>
  sql`(m.list_id = any(${listIds}::bigint[]) or m.short_code_id = ${shortCodeId}) and m.consent <> 'reply'`

/** The log rows (l) of these numbers within the scope that are not closed, with their messages (m). */
const openRows = (phones: number[], scope: OptOutScope, state: Sql): Sql => sql`
      from log_rows(${phones}::bigint[], open_log_days(), null) l
     cross join lateral (select list_id, short_code_id, consent from messages where id = l.message_id offset 0) m
     where l.state = ${state} and ${isInScope(scope)}`

/**
 * Suppresses the numbers' queued rows within the scope, and returns how many counter rows changed: 0 if there was no such row. It
 * waits for a mark that has locked such a row; if the mark makes the row submitting, it stays submitting.
 */
export async function suppressQueued(tx: Db, phones: number[], scope: OptOutScope, at: Date): Promise<number> {
  // the latest day first, in the order in which receipts lock rows
  const days = await tx.many<{ day: string }>(
    'list_queued_days',
    sql`select distinct l.logged_on as day ${openRows(phones, scope, sql`'queued'`)} order by day desc`,
  )
  let changed = 0
  for (const { day } of days) changed += await suppressQueuedOfDay(tx, day, phones, scope, at)
  return changed
}

/** As `suppressQueued`, for the rows of one day. */
export function suppressQueuedOfDay(tx: Db, day: string, phones: number[], scope: OptOutScope, at: Date) {
  return tx.exec(
    `suppress_queued_${day}`,
    sql`
    with queued as materialized (
      select l.id
        from unnest(${phones}::bigint[]) as g(phone)
       cross join lateral (select id, message_id from ${logTable(day)}
                            where phone = g.phone and state = ${from('optOut')} offset 0) l
       cross join lateral (select list_id, short_code_id, consent from messages where id = l.message_id offset 0) m
       where ${isInScope(scope)}
    ), target as materialized (
      select id from ${logTable(day)} where id = any(array(select id from queued)) order by id for update
    ), moved as (
      update ${logTable(day)} l set state = ${to('optOut')}, reason = 'opted_out', closed_at = ${at}
       where l.id = any(array(select id from target)) and l.state = ${from('optOut')}
      returning l.message_id
    )
${countMoves(['optOut'])}`,
  )
}

/**
 * Returns the number of texts within the scope that a gateway may be sending to the phone now, or that await a
 * response.
 */
export async function countSubmitting(db: Db, phone: number, scope: OptOutScope): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_submitting',
    sql`
    select count(*) as count ${openRows([phone], scope, sql`'submitting'`)}
       -- no gateway submits a row after its lease has expired, even if it has not been marked as unknown yet
       and exists (select from send_chunks c
                    where c.message_id = l.message_id and c.first_log_id <= l.id and c.last_log_id >= l.id
                      and c.lease_until > clock_timestamp())`,
  )
  return count
}

/**
 * Adds each number to the `unsubscribe_count` of the message that it replied to: the last one, other than a system text,
 * that the short code sent to it. A number that has already left since that message was sent is not counted again.
 */
export async function countUnsubscribes(
  tx: Db,
  { shortCodeId, listIds }: { shortCodeId: number; listIds: number[] },
  phones: number[],
  at: Date,
) {
  await tx.exec(
    'count_unsubscribes',
    sql`
    with ${openTexts(param(phones))}, counted as (
      select last.message_id
        from unnest(${phones}::bigint[]) as g(phone)
       cross join lateral (
         select * from (
           select message_id, submitted_at from ${lastTexts('g.phone', sql`${listIds}::bigint[]`)} l
            where l.short_code_id = ${shortCodeId} and l.kind <> 'system'
            union all
           ${lastTextsOfNoList(sql`${shortCodeId}::bigint`, 'g.phone')}) t
          order by submitted_at desc, message_id desc limit 1) last
       where not exists (
         select from opts o
          where o.list_id = any(${listIds}::bigint[]) and o.phone = g.phone and o.kind = 'opt_out' and o.method = 'stop'
            and o.created_at >= last.submitted_at and o.created_at < ${at})
    )
${addToCounter('unsubscribe_count', 'counted')}`,
  )
}
