import { type Sql, sql } from '../db/sql.ts'

/**
 * Returns a lateral subquery for the price of a part at a carrier, for an account, on a day; these are expressions of the
 * surrounding statement. The subquery has no row if there is no rate.
 */
export function priceOfPart(given: { accountId: Sql; carrier: Sql; day: Sql }): Sql {
  return sql`(
    select price from rates
     where channel = 'sms' and (account_id is null or account_id = ${given.accountId})
       and (carrier is null or carrier = ${given.carrier}) and since <= ${given.day}
     order by account_id nulls last, carrier nulls last, since desc limit 1)`
}
