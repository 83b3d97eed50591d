import { param, type Sql, sql } from '../db/sql.ts'

/**
 * The statement that returns, as `accountId`, the first account above `after` that has due work in a table, or the first of all; no
 * row if no work is due. `table` may name an alias, and `due` is the condition of its rows.
 */
export function nextAccount(table: Sql, due: Sql, after: number): Sql {
  const last = param(after)
  return sql`
    (select account_id as "accountId" from ${table} where account_id > ${last} and ${due} order by account_id limit 1)
    union all
    (select account_id from ${table} where account_id <= ${last} and ${due} order by account_id limit 1)
    limit 1`
}
