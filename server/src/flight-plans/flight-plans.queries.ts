import type { Db } from '../db/db.ts'
import { sql } from '../db/sql.ts'
import type { Audience } from '../messages/audience/audience.ts'
import { priceOfPart } from '../rates/rates.sql.ts'
import type { SendingCapacity } from './pace.ts'
import type { FlightPlanResult, Priced } from './result.ts'

export type NewFlightPlan = {
  accountId: number
  listId: number
  messageId: number | null
  content: string
  maxParts: number | null
  linkBase: string | null
  audience: Audience | null
  sendAt: Date | null
}

export type FlightPlan = NewFlightPlan & {
  id: number
  status: 'pending' | 'done' | 'failed'
  result: FlightPlanResult | null
  createdAt: Date
  finishedAt: Date | null
}

const columns = /* sql */ `
  id, account_id as "accountId", list_id as "listId", message_id as "messageId", content, max_parts as "maxParts", link_base as "linkBase", audience,
  send_at as "sendAt", status, result, created_at as "createdAt", finished_at as "finishedAt"`

export function insertFlightPlan(tx: Db, plan: NewFlightPlan, at: Date) {
  return tx.one<FlightPlan>(
    'insert_flight_plan',
    /* sql */ `
    insert into flight_plans (account_id, list_id, message_id, content, max_parts, audience, send_at, created_at, link_base)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning ${columns}`,
    [
      plan.accountId,
      plan.listId,
      plan.messageId,
      plan.content,
      plan.maxParts,
      plan.audience && JSON.stringify(plan.audience),
      plan.sendAt,
      at,
      plan.linkBase,
    ],
  )
}

/** Returns the number of the account's pending plans. */
export async function countPending(tx: Db, accountId: number): Promise<number> {
  const { n } = await tx.one<{ n: number }>(
    'count_pending_flight_plans',
    /* sql */ `select count(*) as n from flight_plans where account_id = $1 and status = 'pending'`,
    [accountId],
  )
  return n
}

export function findFlightPlan(db: Db, listId: number, id: number) {
  return db.maybeOne<FlightPlan>(
    'find_flight_plan',
    /* sql */ `select ${columns} from flight_plans where id = $2 and list_id = $1`,
    [listId, id],
  )
}

/** Returns the plan if it is still pending. */
export function findPending(db: Db, id: number) {
  return db.maybeOne<FlightPlan>(
    'find_pending_flight_plan',
    /* sql */ `select ${columns} from flight_plans where id = $1 and status = 'pending'`,
    [id],
  )
}

/** Finishes a pending plan: `done` with a result, `failed` without one. */
export async function finishFlightPlan(db: Db, id: number, result: FlightPlanResult | null, at: Date) {
  await db.exec(
    'finish_flight_plan',
    /* sql */ `
    update flight_plans
       set status = case when $2::jsonb is null then 'failed' else 'done' end, result = $2, finished_at = $3
     where id = $1 and status = 'pending'`,
    [id, result && JSON.stringify(result), at],
  )
}

export function deleteFlightPlans(db: Db, before: Date) {
  return db.exec('delete_flight_plans', /* sql */ `delete from flight_plans where created_at < $1`, [before])
}

/** Returns the capacity of the list's short code: its cap, and its connections in the first tier with an enabled one. */
export function findSendingCapacity(db: Db, listId: number) {
  return db.one<SendingCapacity>(
    'find_sending_capacity',
    /* sql */ `
    with short_code as (
      select s.id, s.mps from lists l join short_codes s on s.id = l.short_code_id where l.id = $1
    ), routes as (
      select r.connection_id as id, r.tier from short_code_routes r join short_code s on s.id = r.short_code_id
      union all
      select c.id, 0 from connections c, short_code s
       where c.serves_all and not exists (select from short_code_routes r where r.short_code_id = s.id)
    ), sending_connections as (
      select c.*, r.tier, min(r.tier) over () as first_tier
        from routes r join connections c on c.id = r.id
       where c.enabled and c.bind_type <> 'receiver'
    )
    select (select mps from short_code) as "shortCodeMps",
           coalesce((select json_agg(json_build_object('name', name, 'mps', mps, 'carrierMps', carrier_mps,
                                                       'windowSlots', "window"::integer * slots) order by id)
                       from sending_connections where tier = first_tier), '[]') as connections`,
    [listId],
  )
}

/** Returns the total cost of these parts and the price and cost per carrier, in dollars, at the account's rates on a day. */
export async function priceParts(
  db: Db,
  accountId: number,
  day: string,
  parts: { carrier: number | null; parts: number }[],
): Promise<{ total: number; byCarrier: Priced[] }> {
  const price = priceOfPart({ accountId: sql`${accountId}::bigint`, carrier: sql`t.carrier`, day: sql`${day}::date` })
  return db.one<{ total: number; byCarrier: Priced[] }>(
    'price_parts',
    sql`
    with priced as (
      select t.n, t.carrier, coalesce(rate.price, 0) as price, t.parts * coalesce(rate.price, 0) as cost
        from unnest(${parts.map((one) => one.carrier)}::int[], ${parts.map((one) => one.parts)}::bigint[]) with ordinality as t(carrier, parts, n)
        left join lateral ${price} rate on true
    )
    select coalesce(round(sum(cost), 2), 0)::float8 as total,
           coalesce(json_agg(json_build_object('carrier', carrier, 'price', trim_scale(price), 'cost', round(cost, 2))
                    order by n), '[]') as "byCarrier"
      from priced`,
  )
}
