import type { LookUpResult } from '../carriers/look-up-provider.ts'
import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { type Subscriber, subscriberFields } from '../subscribers/subscribers.sql.ts'

/** A number that becomes pending, or its opt-in. */
export type OptIn = {
  accountId: number
  listId: number
  phone: number
  state: 'pending' | 'subscribed'
  method: 'api' | 'start' | 'keyword'
  /** The opt-in request that the number receives, or its own text; null if there is neither. */
  wording: string | null
  /** The actor for the ledger, such as `key:12`. */
  actor: string
  /** The API key whose name is stored as the source, if one adds the number; the last one is the number's api_source. */
  apiKeyId?: number | undefined
  now: Date
}

const paramsOf = (optIn: OptIn) => ({
  state: param(optIn.state),
  listId: param(optIn.listId),
  phone: param(optIn.phone),
  method: param(optIn.method),
  now: param(optIn.now),
  isAsked: param(optIn.state === 'pending' && optIn.wording !== null),
})

const nameOfKey = ({ apiKeyId }: OptIn) => sql`(select name from api_keys where id = ${apiKeyId ?? null}::bigint)`

/**
 * Adds a number that is not on the list, with the count and, if it opts in or is asked to, the ledger's row, and returns the
 * subscriber; undefined if it was on the list.
 */
export function insertSubscriber(tx: Db, optIn: OptIn): Promise<Subscriber | undefined> {
  return tx.maybeOne<Subscriber>(
    'insert_subscriber',
    insertion(optIn, () => raw('')),
  )
}

/** As `insertSubscriber`, but also returns undefined, and adds nothing, if the number is blocked at the short code. */
export function insertUnblockedSubscriber(db: Db, optIn: OptIn, shortCodeId: number): Promise<Subscriber | undefined> {
  return db.maybeOne<Subscriber>(
    'insert_unblocked_subscriber',
    insertion(
      optIn,
      (phone) =>
        sql`where not exists (select from blocks b where b.short_code_id = ${shortCodeId} and b.phone = ${phone})`,
    ),
  )
}

function insertion(optIn: OptIn, condition: (phone: Sql) => Sql): Sql {
  const { state, listId, phone, method, isAsked, now } = paramsOf(optIn)
  return sql`
    with added as (
      insert into subscribers (list_id, phone, state, opt_in_method, api_source, subscribed_at, opted_in_at,
                               opt_in_requested_at, created_at)
      select ${listId}::bigint, ${phone}::bigint, ${state}, ${method}, ${nameOfKey(optIn)},
             case when ${state} = 'subscribed' then ${now}::timestamptz end,
             case when ${state} = 'subscribed' then ${now}::timestamptz end,
             case when ${isAsked}::boolean then ${now}::timestamptz end, ${now}
       ${condition(phone)}
          on conflict (list_id, phone) do nothing
      returning *),
    ledger_rows as (
      insert into opts (account_id, list_id, phone, kind, method, source, wording, actor, created_at)
      select ${optIn.accountId}, list_id, phone, case when ${state} = 'pending' then 'opt_in_requested' else 'opt_in' end,
             ${method}, api_source, ${optIn.wording}, ${optIn.actor}, ${now}
        from added where ${state} = 'subscribed' or ${isAsked}),
    deltas as (
      insert into list_deltas (list_id, prefix, subscribed)
      select list_id, phone / 100000, 1 from added where ${state} = 'subscribed')
    select ${raw(subscriberFields)} from added s`
}

/**
 * Moves a known number, whose row the transaction has locked, to its new state, with the counts and, if it opts in or is
 * asked to, the ledger's row.
 */
export function moveSubscriber(tx: Db, optIn: OptIn) {
  const { state, listId, phone, method, isAsked, now } = paramsOf(optIn)
  return tx.exec(
    'move_subscriber',
    sql`
    with moved as (
      update subscribers s
         set state = ${state}, updated_at = ${now},
             subscribed_at = case when ${state} = 'subscribed' then coalesce(s.subscribed_at, ${now}) else s.subscribed_at end,
             opted_in_at = case when ${state} = 'subscribed' then ${now} else s.opted_in_at end,
             opt_in_requested_at = case when ${isAsked}::boolean then ${now}::timestamptz end,
             opt_in_method = coalesce(s.opt_in_method, ${method}), api_source = coalesce(${nameOfKey(optIn)}, s.api_source)
        from subscribers before
       where s.list_id = ${listId} and s.phone = ${phone} and before.list_id = ${listId} and before.phone = ${phone}
      returning before.state as old_state),
    ledger_rows as (
      insert into opts (account_id, list_id, phone, kind, method, source, wording, actor, created_at)
      select ${optIn.accountId}, ${listId}, ${phone},
             case when ${state} = 'pending' then 'opt_in_requested' else 'opt_in' end, ${method}, ${nameOfKey(optIn)},
             ${optIn.wording}, ${optIn.actor}, ${now}
        from moved where ${state} = 'subscribed' or ${isAsked})
    insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
    select ${listId}, ${phone}::bigint / 100000, (${state} = 'subscribed')::int - (old_state = 'subscribed')::int,
           -(old_state = 'unsubscribed')::int, -(old_state = 'cleaned')::int
      from moved
     where old_state <> ${state}`,
  )
}

/** Stores the carrier of a subscriber. */
export function updateCarrier(tx: Db, listId: number, phone: number, lookUp: LookUpResult, at: Date) {
  return tx.exec(
    'update_carrier',
    /* sql */ `
    update subscribers
       set carrier = coalesce($3, 0), carrier_name = $4, global_carrier_id = $5, global_carrier_name = $6,
           updated_at = $7
     where list_id = $1 and phone = $2`,
    [listId, phone, lookUp.carrier, lookUp.carrierName, lookUp.globalCarrierId, lookUp.globalCarrierName, at],
  )
}
