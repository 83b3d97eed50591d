import { raw, type Sql } from '../db/sql.ts'

/**
 * Returns the condition that a row of the log counts as a received text: the carrier accepted it and reported no failure. At the
 * receipt deadline, such a row without a receipt becomes expired.
 */
export const wasReceived = (row: string): Sql =>
  raw(/* sql */ `(${row}.state in ('sent', 'delivered') or ${row}.state = 'expired' and ${row}.reason = 'no_receipt')`)

const storedCount = (listId: string, phone: string) => /* sql */ `
  coalesce((select r.messages from received_counts r where r.list_id = ${listId} and r.phone = ${phone}), 0)`

const openBroadcasts = (listId: string) => /* sql */ `
  messages where list_id = ${listId} and kind = 'broadcast' and closed_at is null and accepted_at is not null`

/**
 * Returns the number of broadcasts of a list that a number received: those that are counted in `received_counts`, and the rows of the
 * log of broadcasts that are not closed yet.
 */
export const receivedCount = (listId: string, phone: string): Sql =>
  raw(/* sql */ `
  (select coalesce(sum(r.messages), 0)::bigint from count_received(${listId}, array[${phone}]) r)`)

/** As `receivedCount` without the log; null if the list has a broadcast that is not closed. */
export const receivedCountOfClosed = (listId: string, phone: string): Sql =>
  raw(/* sql */ `
  case when not exists (select from ${openBroadcasts(listId)}) then ${storedCount(listId, phone)} end`)
