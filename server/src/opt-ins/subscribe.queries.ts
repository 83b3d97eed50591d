import type { LookUpResult } from '../carriers/look-up-provider.ts'
import type { Db } from '../db/db.ts'

/** Who opts in on a list lets its short code text them again. `done` is the statement's CTE of the row it has written. */
const liftBlock = (done: string) => /* sql */ `
      delete from blocks b using lists l
       where $4 = 'subscribed' and exists (select from ${done})
         and l.id = $2 and b.short_code_id = l.short_code_id and b.phone = $3`

/** A number that is asked for its consent, or that has given it. */
export type OptIn = {
  accountId: number
  listId: number
  phone: number
  state: 'pending' | 'subscribed'
  /** The words that the number is shown. */
  wording: string | null
  /** Who did it, as `key:12`. */
  actor: string
  now: Date
}

/** Adds a number that the list does not know, with the ledger's row and the count; answers whether it was unknown. */
export async function insertSubscriber(tx: Db, joining: OptIn): Promise<boolean> {
  const row = await tx.maybeOne(
    'insert_subscriber',
    /* sql */ `
    with added as (
      insert into subscribers (list_id, phone, state, opt_in_method, subscribed_at, opted_in_at, opt_in_requested_at,
                               created_at)
      values ($2, $3, $4, 'api', case when $4 = 'subscribed' then $7::timestamptz end,
              case when $4 = 'subscribed' then $7::timestamptz end,
              case when $4 = 'pending' then $7::timestamptz end, $7)
          on conflict (list_id, phone) do nothing
      returning list_id, phone),
    noted as (
      insert into opts (account_id, list_id, phone, kind, method, wording, actor, created_at)
      select $1, list_id, phone, case when $4 = 'pending' then 'opt_in_requested' else 'opt_in' end, 'api', $5, $6, $7
        from added),
    lifted as (${liftBlock('added')}),
    counted as (
      insert into list_deltas (list_id, prefix, subscribed)
      select list_id, phone / 100000, 1 from added where $4 = 'subscribed')
    select from added`,
    [joining.accountId, joining.listId, joining.phone, joining.state, joining.wording, joining.actor, joining.now],
  )
  return row !== undefined
}

/** Moves a known number, whose row the transaction has locked, to its new state, with the ledger's row and the counts. */
export function moveSubscriber(tx: Db, joining: OptIn) {
  return tx.exec(
    'move_subscriber',
    /* sql */ `
    with moved as (
      update subscribers s
         set state = $4,
             subscribed_at = case when $4 = 'subscribed' then coalesce(s.subscribed_at, $7) else s.subscribed_at end,
             opted_in_at = case when $4 = 'subscribed' then $7 else s.opted_in_at end,
             opt_in_requested_at = case when $4 = 'pending' then $7::timestamptz end,
             opt_in_method = coalesce(s.opt_in_method, 'api')
        from subscribers before
       where s.list_id = $2 and s.phone = $3 and before.list_id = $2 and before.phone = $3
      returning before.state as was),
    noted as (
      insert into opts (account_id, list_id, phone, kind, method, wording, actor, created_at)
      select $1, $2, $3, case when $4 = 'pending' then 'opt_in_requested' else 'opt_in' end, 'api', $5, $6, $7
        from moved),
    lifted as (${liftBlock('moved')})
    insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
    select $2, $3::bigint / 100000, ($4 = 'subscribed')::int, -(was = 'unsubscribed')::int, -(was = 'cleaned')::int
      from moved
     where $4 = 'subscribed' or was <> 'pending'`,
    [joining.accountId, joining.listId, joining.phone, joining.state, joining.wording, joining.actor, joining.now],
  )
}

/** Writes down the carrier of a number, as far as it is known. */
export function updateCarrier(tx: Db, listId: number, phone: number, lookUp: LookUpResult) {
  return tx.exec(
    'update_carrier',
    /* sql */ `
    update subscribers
       set carrier = coalesce($3, 0), carrier_name = $4, global_carrier_id = $5, global_carrier_name = $6
     where list_id = $1 and phone = $2`,
    [listId, phone, lookUp.carrier, lookUp.carrierName, lookUp.globalCarrierId, lookUp.globalCarrierName],
  )
}
