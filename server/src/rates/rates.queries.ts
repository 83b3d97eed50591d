import type { Db } from '../db/db.ts'

export type Channel = 'sms' | 'mms'

/** A price of one part; it is a decimal string, because a float is not exact. */
export type NewRate = {
  /** Null for all accounts that have no rate of their own. */
  accountId: number | null
  channel: Channel
  /** Null for any carrier. */
  carrier: number | null
  price: string
  /** YYYY-MM-DD */
  since: string
  source: string
}

export type Rate = NewRate & { id: number }

const columns = /* sql */ `
  id, account_id as "accountId", channel, carrier, trim_scale(price)::text as price, since::text as since, source`

/** Returns all rates: rates for all accounts first, and the latest of each kind first. */
export function listRates(db: Db) {
  return db.many<Rate>(
    'list_rates',
    /* sql */ `select ${columns} from rates order by account_id nulls first, channel, carrier nulls first, since desc`,
  )
}

/** Inserts a rate, or updates the rate with the same scope and first day. */
export function upsertRate(db: Db, rate: NewRate) {
  return db.one<Rate>(
    'upsert_rate',
    /* sql */ `
    insert into rates (account_id, channel, carrier, price, since, source) values ($1, $2, $3, $4::numeric, $5::date, $6)
        on conflict on constraint rates_once do update set price = excluded.price, source = excluded.source
    returning ${columns}`,
    [rate.accountId, rate.channel, rate.carrier, rate.price, rate.since, rate.source],
  )
}

/** Deletes a rate; returns the number of deleted rows: 1, or 0 if it does not exist. */
export function deleteRate(db: Db, id: number) {
  return db.exec('delete_rate', /* sql */ `delete from rates where id = $1`, [id])
}
