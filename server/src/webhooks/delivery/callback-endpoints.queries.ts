import type { Db } from '../../db/db.ts'
import { param, type Sql, sql } from '../../db/sql.ts'

/** Maximum number of hosts of an account's callbacks that have an endpoint of their own; an honest account has a few. */
export const maxCallbackHosts = 1_000

/** The endpoints of all further hosts, and of test events, in the column `origin`; an origin has `://`. */
const sharedOrigin = 'others'
const testOrigin = 'tests'

/** The origin (scheme, host and port) of a callback's URL. */
export type CallbackTarget = { accountId: number; origin: string }

/**
 * Returns the endpoints of callbacks to these origins, in their order; inserts missing ones. Once an account has endpoints of 1,000 origins, new
 * ones share one. As long as that exists, each new origin uses it: with an endpoint of its own, a callback could overtake an earlier
 * one of its phone. The transaction must be the sequencer.
 */
export async function findCallbackEndpoints(tx: Db, callbacks: CallbackTarget[]): Promise<number[]> {
  if (callbacks.length === 0) return []
  const targets = [callbacks.map(({ accountId }) => accountId), callbacks.map(({ origin }) => origin)]
  await tx.exec(
    'insert_callback_endpoints',
    /* sql */ `
    with missing as (
      select g.account_id, g.origin, row_number() over (partition by g.account_id order by g.first) as n
        from (select account_id, origin, min(n) as first
                from unnest($1::bigint[], $2::text[]) with ordinality as u(account_id, origin, n) group by 1, 2) g
       -- not "not exists", for which all endpoints could be hashed
       where (select e.id from endpoints e where e.account_id = g.account_id and e.origin = g.origin) is null
    ), free as (
      select a.account_id,
             case when (select e.id from endpoints e where e.account_id = a.account_id and e.origin = '${sharedOrigin}') is null
                  then ${maxCallbackHosts} - (select count(*) from (select from endpoints e
                                                where e.account_id = a.account_id and e.origin is not null
                                                limit ${maxCallbackHosts}) known)
                  else 0 end as hosts
        from (select distinct account_id from missing) a
    )
    insert into endpoints (account_id, origin)
    select distinct m.account_id, case when m.n <= f.hosts then m.origin else '${sharedOrigin}' end
      from missing m join free f on f.account_id = m.account_id
        on conflict (account_id, origin) do nothing`,
    targets,
  )
  const rows = await tx.many<{ id: number }>(
    'find_callback_endpoints',
    /* sql */ `
    select coalesce((select e.id from endpoints e where e.account_id = c.account_id and e.origin = c.origin),
                    (select e.id from endpoints e where e.account_id = c.account_id and e.origin = '${sharedOrigin}')) as id
      from unnest($1::bigint[], $2::text[]) with ordinality as c(account_id, origin, n) order by n`,
    targets,
  )
  return rows.map(({ id }) => id)
}

/**
 * Returns the endpoint of the account's test events of callbacks, which it inserts if it is missing. It exists until the transaction ends, and as
 * long as a delivery waits for it.
 */
export async function lockTestEndpoint(tx: Db, accountId: number): Promise<number> {
  const { id } = await tx.one<{ id: number }>(
    'lock_test_endpoint',
    /* sql */ `
    insert into endpoints as e (account_id, origin) values ($1, '${testOrigin}')
        -- waits for a job that deletes it, and inserts it again
        on conflict (account_id, origin) do update set next_due_at = e.next_due_at
    returning id`,
    [accountId],
  )
  return id
}

/** The condition that nothing of endpoint `e` is left; not "not exists", for which all attempts could be hashed. */
const isIdle = (now: Sql) => sql`
         (e.leased_until is null or e.leased_until < ${now})
     and (select d.id from deliveries d where d.endpoint_id = e.id order by d.position limit 1) is null
     and (select a.id from delivery_attempts a where a.endpoint_id = e.id order by a.started_at limit 1) is null`

/**
 * Deletes the endpoints of callbacks without deliveries and attempts among the next `limit` endpoints after an id, and returns the last of
 * these ids, or null at the end. The transaction must be the sequencer, because a fan-out could have found an endpoint before. A test
 * event may be queued meanwhile: the endpoints are locked, and the statement after that sees its delivery.
 */
export async function deleteIdleCallbackEndpoints(tx: Db, now: Date, after: number, limit: number) {
  const at = param(now)
  const { last, idle } = await tx.one<{ last: number | null; idle: number[] }>(
    'lock_idle_callback_endpoints',
    sql`
    with slice as (
      select id, webhook_id from endpoints where id > ${after} order by id limit ${limit}
    ), idle as (
      select e.id from endpoints e
       where e.id = any(array(select id from slice where webhook_id is null)) and ${isIdle(at)}
       order by e.id for update
    )
    select (select max(id) from slice) as last, array(select id from idle) as idle`,
  )
  if (idle.length > 0) {
    await tx.exec(
      'delete_idle_callback_endpoints',
      sql`delete from endpoints e where e.id = any(${idle}::bigint[]) and ${isIdle(at)}`,
    )
  }
  return last
}
