import type { Db } from '../db/db.ts'
import { raw, type Sql, sql } from '../db/sql.ts'
import { countMore, countMoves } from './counters.sql.ts'
import { from, to } from './transitions.ts'

/** What an opt-out is for: texts of these lists and, where there is one, all others from the short code. */
export type OptOutScope = { listIds: number[]; shortCodeId: number | null }

// only these partitions can hold rows that are still queued or submitting
const openDays = `array(select logged_on from messages where status = 'sending'
                  union select logged_on from messages where status = 'cancelled' and closed_at is null)`

const isInScope = ({ listIds, shortCodeId }: OptOutScope): Sql =>
  sql`(m.list_id = any(${listIds}::bigint[]) or m.short_code_id = ${shortCodeId})`

/**
 * Suppresses the rows within the scope that are queued for the numbers. It waits for a mark that has locked such a row;
 * a row that the mark has made submitting stays so.
 */
export function suppressQueued(tx: Db, phones: number[], scope: OptOutScope, at: Date): Promise<number> {
  return tx.exec(
    'suppress_queued',
    sql`
    with target as materialized (
      select l.id, l.logged_on
        from message_log l join messages m on m.id = l.message_id
       where l.phone = any(${phones}::bigint[]) and l.logged_on = any(${raw(openDays)}) and l.state = ${from('optOut')}
         and ${isInScope(scope)} and m.consent <> 'answer'
       order by l.id
         for update of l
    ), moved as (
      update message_log l set state = ${to('optOut')}, reason = 'opted_out', closed_at = ${at}
        from target t
       where l.id = t.id and l.logged_on = t.logged_on and l.logged_on = any(${raw(openDays)})
         and l.state = ${from('optOut')}
      returning l.message_id
    )
${countMoves(['optOut'])}`,
  )
}

/** The number of texts within the scope that a gateway may be writing to the phone now, or whose responses it awaits. */
export async function countInFlight(db: Db, phone: number, scope: OptOutScope): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_in_flight',
    sql`
    select count(*) as count
      from message_log l join messages m on m.id = l.message_id
     where l.phone = ${phone} and l.logged_on = any(${raw(openDays)}) and l.state = 'submitting'
       and ${isInScope(scope)} and m.consent <> 'answer'
       -- after its lease nobody writes a row any more, even if it has not been marked as unknown yet
       and exists (select from send_chunks c
                    where c.message_id = l.message_id and c.first_log_id <= l.id and c.last_log_id >= l.id
                      and c.lease_until > clock_timestamp())`,
  )
  return count
}

/** Counts each opt-out against the last broadcast that the list sent to the number. */
export async function countUnsubscribes(tx: Db, left: Array<{ phone: number; listId: number }>) {
  await tx.exec(
    'count_unsubscribes',
    /* sql */ `
    with counted as (
      select last.id as message_id
        from unnest($1::bigint[], $2::bigint[]) as g(phone, list_id)
       cross join lateral (
         select m.id from message_log l join messages m on m.id = l.message_id
          where l.phone = g.phone and m.list_id = g.list_id and m.kind = 'broadcast'
            and l.state in ('sent', 'delivered', 'unknown')
          order by l.id desc limit 1) last
    )
${countMore('unsubscribe_count', 'counted')}`,
    [left.map((each) => each.phone), left.map((each) => each.listId)],
  )
}
