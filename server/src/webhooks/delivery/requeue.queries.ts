import type { Db } from '../../db/db.ts'
import { sql } from '../../db/sql.ts'
import { lockPhones, newRows } from './deliveries.queries.ts'
import { lockEndpoint } from './endpoints.queries.ts'

/**
 * Makes these events due at an endpoint, of which each waits once at most: waiting deliveries of them have all attempts again and
 * are due, with those of their phones, and the others are inserted after what waits. Returns how many were inserted or became due
 * earlier: none for an endpoint that no longer exists.
 */
export async function requeueDeliveries(tx: Db, endpointId: number, positions: number[], now: Date): Promise<number> {
  // the endpoint before its deliveries, and these by id: the order of `recordAttempts`, whose result must not be missed
  if ((await lockEndpoint(tx, endpointId)) === 0) return 0
  const waiting = await tx.many<{ isEarlier: boolean }>(
    'advance_deliveries',
    /* sql */ `
    with phones as (
      select distinct phone from events where position = any($2::bigint[]) and phone is not null
    ), waiting as (
      select d.id, d.due_at from deliveries d
       where d.id = any(array(select id from deliveries where endpoint_id = $1 and position = any($2::bigint[])
                              union select (select b.id from deliveries b where b.endpoint_id = $1 and b.phone = n.phone
                                             order by b.id limit 1)
                                      from phones n))
       order by d.id for update
    )
    update deliveries d
       set due_at = least(d.due_at, $3),
           attempts = case when d.position = any($2::bigint[]) then 0 else d.attempts end,
           round = d.round + (d.position = any($2::bigint[]))::int
      from waiting w
     where d.id = w.id and (d.due_at > $3 or d.position = any($2::bigint[]))
    returning d.position = any($2::bigint[]) and w.due_at > $3 as "isEarlier"`,
    [endpointId, positions, now],
  )
  const target = sql`
      select ${endpointId}::bigint as endpoint_id, v.position, v.phone, not v.is_test as is_replay
        from events v
       where v.position = any(${positions}::bigint[])
         and not exists (select from deliveries d where d.endpoint_id = ${endpointId} and d.position = v.position)`
  await lockPhones('lock_phones_of_replays', tx, target)
  const inserted = await tx.exec(
    'insert_replayed_deliveries',
    sql`
    with target as (${target}
    )
    insert into deliveries (endpoint_id, position, phone, due_at, is_behind, is_replay) ${newRows(now, sql`t.is_replay`)}`,
  )
  await tx.exec('wake_endpoint', /* sql */ `update endpoints set next_due_at = least(next_due_at, $2) where id = $1`, [
    endpointId,
    now,
  ])
  return inserted + waiting.filter(({ isEarlier }) => isEarlier).length
}
