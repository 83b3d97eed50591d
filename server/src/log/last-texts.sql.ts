import { raw, type Sql, sql } from '../db/sql.ts'

// The last message that was sent to a phone, which may be a year old, without reading the days in between: texts of messages that are
// not closed are in the log of a few days, and what closing leaves behind has the last one of each list.

/** Returns the condition that a row of the log may have arrived: it was submitted, and no failure was reported. */
export const mayHaveArrived = (row: string): Sql =>
  raw(/* sql */ `
  (${row}.state in ('submitting', 'sent', 'unknown', 'delivered') or ${row}.state = 'expired' and ${row}.reason = 'no_receipt')`)

/** The latest texts of each phone and day that are read, from all senders. */
const maxTexts = 200

/** The CTE `open_texts`, which `lastTexts` reads: the texts to these phones that may have arrived, of messages that are not closed. */
export const openTexts = (phones: Sql): Sql => sql`
  open_texts as materialized (
    -- one row per phone, because the plans of gateways compare all rows of a join
    select l.phone, array_agg(l.message_id) as message_ids, array_agg(l.submitted_at) as times
      from log_rows(array(select distinct unnest(${phones}::bigint[])), open_log_days(), ${raw(String(maxTexts))}) l
     where l.submitted_at is not null and ${mayHaveArrived('l')}
     group by l.phone
  )`

/**
 * A relation (message_id, submitted_at, short_code_id, list_id, kind, is_reported) with texts that may have arrived at one phone of
 * `openTexts`: those of messages that are not closed, of any sender, and the last closed message of each of these lists, other than a
 * system text. The last closed message of a list that has sent from two short codes is that of the later one.
 */
export const lastTexts = (phone: string, listIds: Sql): Sql => sql`
  (select t.message_id, t.submitted_at, m.*
     from (select unnest(message_ids) as message_id, unnest(times) as submitted_at
             from open_texts where phone = ${raw(phone)}
            union all
           select r.last_message_id, r.last_submitted_at
             from unnest(${listIds}) as given(id)
            cross join lateral (select last_message_id, last_submitted_at from received_counts
                                 where list_id = given.id and phone = ${raw(phone)} offset 0) r) t
    cross join lateral (select short_code_id, list_id, kind, is_reported from messages where id = t.message_id offset 0) m)`

/**
 * The rows (message_id, submitted_at) of the last closed transactional messages without a list from a short code to a phone, which
 * may have arrived: one with a receiver of its replies, and one without. A message to one number was sent when its text was.
 */
export const lastTextsOfNoList = (shortCodeId: Sql, phone: string): Sql => sql`
  (select * from (${lastOfNoList(shortCodeId, phone, raw('is_reported'))}) with_receiver
    union all
   select * from (${lastOfNoList(shortCodeId, phone, raw(`kind = 'transactional' and list_id is null and not is_reported`))}) without)`

/** Closed transactional messages without a list to a phone among which one that may have arrived is searched. */
const maxTransactional = 20

/** As `lastTextsOfNoList`, for the messages with a receiver of their replies only. */
export const lastReportedText = (shortCodeId: Sql, phone: string): Sql =>
  lastOfNoList(shortCodeId, phone, raw('is_reported'))

function lastOfNoList(shortCodeId: Sql, phone: string, condition: Sql): Sql {
  return sql`
  select m.id as message_id, m.sent_at as submitted_at
    from (select id, sent_at, closed_at from messages
           where short_code_id = ${shortCodeId} and phone = ${raw(phone)} and ${condition}
           order by id desc limit ${raw(String(maxTransactional))}) m
   cross join lateral (select sum(delivered + sent + unknown + expired) as arrived from message_counters
                        where message_id = m.id offset 0) c
   where m.closed_at is not null and m.sent_at is not null and c.arrived > 0
   order by m.id desc limit 1`
}
