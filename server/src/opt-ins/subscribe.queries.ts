import type { LookUpResult } from '../carriers/look-up-provider.ts'
import type { Db } from '../db/db.ts'

/** Lifts the block of a number that opts in, for the list's short code. `written` is the CTE of the written row. */
const liftBlock = (written: string) => /* sql */ `
      delete from blocks b using lists l
       where $4 = 'subscribed' and exists (select from ${written})
         and l.id = $2 and b.short_code_id = l.short_code_id and b.phone = $3`

/** An opt-in request to a number, or its opt-in. */
export type OptIn = {
  accountId: number
  listId: number
  phone: number
  state: 'pending' | 'subscribed'
  /** The text that the number receives. */
  wording: string | null
  /** The actor for the ledger, such as `key:12`. */
  actor: string
  now: Date
}

/** Inserts a number that has no row on the list, with the ledger and the count; returns false if it has one. */
export async function insertSubscriber(tx: Db, optIn: OptIn): Promise<boolean> {
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
    [optIn.accountId, optIn.listId, optIn.phone, optIn.state, optIn.wording, optIn.actor, optIn.now],
  )
  return row !== undefined
}

/** Moves a number, whose row the caller has locked, to its new state, with the ledger and the counts. */
export function moveSubscriber(tx: Db, optIn: OptIn) {
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
    [optIn.accountId, optIn.listId, optIn.phone, optIn.state, optIn.wording, optIn.actor, optIn.now],
  )
}

/** Stores the carrier of a subscriber. */
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
