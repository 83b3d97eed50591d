import { raw, type Sql } from '../db/sql.ts'

/**
 * Returns the condition that a row of the log counts as a received text: the carrier accepted it and reported no failure. At the
 * receipt deadline, such a row without a receipt becomes expired.
 */
export const wasReceived = (row: string): Sql =>
  raw(/* sql */ `(${row}.state in ('sent', 'delivered') or ${row}.state = 'expired' and ${row}.reason = 'no_receipt')`)

/**
 * Returns the number of broadcasts of a list that a number received: those that are counted in `received_counts`, and the rows
 * of the log of broadcasts that are not closed yet. A row is looked up in the partition of its message.
 */
export const receivedCount = (listId: string, phone: string): Sql =>
  raw(/* sql */ `
  (coalesce((select r.messages from received_counts r where r.list_id = ${listId} and r.phone = ${phone}), 0)
   + (select count(*)
        from (select id, logged_on, received_through from messages
               where list_id = ${listId} and kind = 'broadcast' and closed_at is null and accepted_at is not null offset 0) m
       cross join lateral (
         select from message_log g
          where g.logged_on = m.logged_on and g.phone = ${phone} and g.message_id = m.id and g.id > m.received_through
            and ${wasReceived('g')} offset 0) received))`)
