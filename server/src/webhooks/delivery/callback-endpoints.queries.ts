import type { Db } from '../../db/db.ts'

/** Inserts the missing endpoints of callbacks to these origins (scheme, host and port) of accounts. */
export function insertCallbackEndpoints(tx: Db, origins: { accountId: number; origin: string }[]) {
  return tx.exec(
    'insert_callback_endpoints',
    /* sql */ `
    insert into endpoints (account_id, origin)
    select distinct * from unnest($1::bigint[], $2::text[]) as given(account_id, origin)
        on conflict (account_id, origin) do nothing`,
    [origins.map(({ accountId }) => accountId), origins.map(({ origin }) => origin)],
  )
}

/**
 * Deletes the endpoints of callbacks without deliveries and attempts among the next `limit` endpoints after an id, and returns the last of
 * these ids, or null at the end. The transaction must be the sequencer.
 */
export async function deleteIdleCallbackEndpoints(tx: Db, now: Date, after: number, limit: number) {
  const { last } = await tx.one<{ last: number | null }>(
    'delete_idle_callback_endpoints',
    /* sql */ `
    with slice as (
      select id, webhook_id from endpoints where id > $2 order by id limit $3
    ), idle as (
      -- not "not exists", for which all attempts could be hashed
      select e.id from endpoints e
       where e.id = any(array(select id from slice where webhook_id is null))
         and (e.leased_until is null or e.leased_until < $1)
         and (select d.id from deliveries d where d.endpoint_id = e.id order by d.position limit 1) is null
         and (select a.id from delivery_attempts a where a.endpoint_id = e.id order by a.started_at limit 1) is null
       order by e.id for update
    ), deleted as (
      delete from endpoints where id = any(array(select id from idle))
    )
    select max(id) as last from slice`,
    [now, after, limit],
  )
  return last
}
