import { type Sql, sql } from '../db/sql.ts'

/**
 * A CTE `used` that records that these connections have carried a text, so that they are not deleted. It writes once per connection,
 * and not if its row is locked, because the transaction with the lock may wait for this one; then the next text records it.
 */
export const markUsed = (connectionIds: Sql): Sql => sql`
  used as (
    update connections set is_used = true
     where id = any(array(select id from connections
                           where id = any(${connectionIds}::smallint[]) and not is_used
                           order by id for no key update skip locked))
  )`
