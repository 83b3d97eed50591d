import type { Db } from '../db/db.ts'
import { raw, type Sql, sql } from '../db/sql.ts'
import { mayHaveOpenRows } from './cancelled.sql.ts'
import { addToCounter, countMoves } from './counters.sql.ts'
import { from, to } from './transitions.ts'

/**
 * The texts that an opt-out stops: those of these lists and, unless `shortCodeId` is null, all texts from that short
 * code.
 */
export type OptOutScope = { listIds: number[]; shortCodeId: number | null }

// only these partitions can contain rows that are still queued or submitting
const openDays = `array(select logged_on from messages where status = 'sending'
                  union select m.logged_on from messages m where ${mayHaveOpenRows('m')})`

const isInScope = ({ listIds, shortCodeId }: OptOutScope): Sql =>
  sql`(m.list_id = any(${listIds}::bigint[]) or m.short_code_id = ${shortCodeId})`

/**
 * Suppresses the numbers' queued rows within the scope, and returns how many. It waits for a mark that has locked such
 * a row; if the mark makes the row submitting, it stays submitting.
 */
export function suppressQueued(tx: Db, phones: number[], scope: OptOutScope, at: Date): Promise<number> {
  return tx.exec(
    'suppress_queued',
    sql`
    with target as materialized (
      select l.id, l.logged_on
        from message_log l join messages m on m.id = l.message_id
       where l.phone = any(${phones}::bigint[]) and l.logged_on = any(${raw(openDays)}) and l.state = ${from('optOut')}
         and ${isInScope(scope)} and m.consent <> 'reply'
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

/**
 * Returns the number of texts within the scope that a gateway may be sending to the phone now, or that await a
 * response.
 */
export async function countSubmitting(db: Db, phone: number, scope: OptOutScope): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_submitting',
    sql`
    select count(*) as count
      from message_log l join messages m on m.id = l.message_id
     where l.phone = ${phone} and l.logged_on = any(${raw(openDays)}) and l.state = 'submitting'
       and ${isInScope(scope)} and m.consent <> 'reply'
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
    /* sql */ `
    with counted as (
      select last.message_id
        from unnest($2::bigint[]) as g(phone)
       cross join lateral (
         select m.id as message_id, l.submitted_at
           from message_log l join messages m on m.id = l.message_id
          where l.phone = g.phone and m.short_code_id = $1 and m.kind <> 'system'
            and l.state in ('submitting', 'sent', 'delivered', 'unknown', 'expired')
          order by l.id desc limit 1) last
       where not exists (
         select from opts o
          where o.list_id = any($4::bigint[]) and o.phone = g.phone and o.kind = 'opt_out' and o.method = 'stop'
            and o.created_at >= last.submitted_at and o.created_at < $3)
    )
${addToCounter('unsubscribe_count', 'counted')}`,
    [shortCodeId, phones, at, listIds],
  )
}
