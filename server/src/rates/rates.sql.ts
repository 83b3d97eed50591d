/**
 * A lateral sub-query for the price of a part (price) at a carrier, to an account, on a day: expressions of the statement
 * that it is put into. No row where there is no rate.
 */
export function priceOfPart(given: { accountId: string; carrier: string; day: string }): string {
  return /* sql */ `(
    select price from rates
     where channel = 'sms' and (account_id is null or account_id = ${given.accountId})
       and (carrier is null or carrier = ${given.carrier}) and since <= ${given.day}
     order by account_id nulls last, carrier nulls last, since desc limit 1)`
}
