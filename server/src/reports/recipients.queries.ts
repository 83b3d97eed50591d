import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'
import { type Clicked, isSelectedByClick } from '../links/clicked.sql.ts'
import { totalsOf } from '../log/counters.sql.ts'
import { logTable } from '../log/log-days.ts'
import type { State } from '../log/transitions.ts'
import { logRanges } from './log-ranges.sql.ts'

/** A message whose recipients are read: its day (YYYY-MM-DD), null until it is accepted, and the number of its rows in each state. */
export type MessageOfRecipients = {
  id: number
  loggedOn: string | null
  counters: Record<State, number>
}

/** Returns the list's message; undefined if the list has no such message. */
export function findMessageOfRecipients(db: Db, listId: number, messageId: number) {
  return db.maybeOne<MessageOfRecipients>(
    'find_message_of_recipients',
    /* sql */ `
    select m.id, m.logged_on::text as "loggedOn", to_json(c) as counters
      from messages m cross join ${totalsOf('m.id')} c
     where m.id = $1 and m.list_id = $2 and m.kind in ('broadcast', 'transactional')`,
    [messageId, listId],
  )
}

/** Null selects all; `linkId` is the link of the message whose clicks `clicked` is about. */
export type RecipientFilter = {
  states: readonly State[] | null
  reason: string | null
  carrier: string | null
  clicked: Clicked | null
  linkId: number | null
}

export type RecipientOfMessage = {
  id: number
  phone: number
  state: State
  reason: string | null
  carrierStatus: string | null
  carrier: string | null
  partCount: number
  submittedAt: Date | null
  closedAt: Date | null
  clickCount: number
  humanClickCount: number
}

export type LoggedMessage = { id: number; loggedOn: string }

/** Log ids of which the rows are sorted at a time: a page that begins in a window reads it to its end. */
const windowIds = 1_024

/** The CTE `windows` (first, last): the log ids of a message. */
function windowsOf({ id, loggedOn }: LoggedMessage): Sql {
  const size = param(windowIds)
  return sql`
    ${logRanges(loggedOn, param([id]))}, windows as materialized (
      select greatest(r.first, w.n * ${size}::bigint) as first, least(r.last, (w.n + 1) * ${size}::bigint - 1) as last
        from ranges r cross join lateral generate_series(r.first / ${size}::bigint, r.last / ${size}::bigint) as w (n)
    )`
}

/** The condition on a log row `l` of a message. */
const matches = (messageId: number, { clicked, linkId, ...filter }: RecipientFilter): Sql => {
  const [selection, link] = [sql`${param(clicked)}::text`, sql`${param(linkId)}::bigint`]
  const of = { messageId: raw('l.message_id'), phone: raw('l.phone'), linkId: link }
  return sql`${matchesRow(messageId, filter)} and (${selection} is null or ${isSelectedByClick(selection, of)})`
}

/** The same without a selection by clicks. */
const matchesRow = (
  messageId: number,
  { states, reason, carrier }: Pick<RecipientFilter, 'states' | 'reason' | 'carrier'>,
): Sql => {
  const [anyState, anyReason, anyCarrier] = [param(states), param(reason), param(carrier)]
  return sql`l.message_id = ${messageId} and (${anyState}::message_state[] is null or l.state = any(${anyState}))
         and (${anyReason}::text is null or l.reason = ${anyReason})
         and (${anyCarrier}::text is null
              or (select carrier_name from number_look_ups where phone = l.phone) = ${anyCarrier})`
}

type PageAfter = PageBounds & { after: number }

/** The columns of a log row that a page needs. */
const pageColumns = raw('l.id, l.phone, l.state, l.reason, l.carrier_status, l.part_count, l.submitted_at, l.closed_at')

/** Returns the recipients of the CTE `page`, in the order of their ids. */
const recipientsOfPage = (messageId: number): Sql => sql`
    select p.id, p.phone, p.state, p.reason, p.carrier_status as "carrierStatus", p.part_count as "partCount",
           p.submitted_at as "submittedAt", p.closed_at as "closedAt",
           (select carrier_name from number_look_ups where phone = p.phone) as carrier, k."clickCount", k."humanClickCount"
      from page p
     cross join lateral (
       select coalesce(sum(click_count), 0)::bigint as "clickCount", coalesce(sum(human_click_count), 0)::bigint as "humanClickCount"
         from clickers where message_id = ${messageId} and phone = p.phone) k
     order by p.id`

/**
 * Returns a page of the recipients with an id above `after`, in the order of their ids. Reads the rows before the page that
 * match the filter too, so that a page behind a million of them takes as long as reading a million rows.
 */
export function listRecipients(tx: Db, message: LoggedMessage, filter: RecipientFilter, page: PageAfter) {
  const behind = param(page.after)
  return tx.many<RecipientOfMessage>(
    `list_recipients_${message.loggedOn}`,
    sql`
    with ${windowsOf(message)}, page as materialized (
      select ${pageColumns}
        from (select first, last from windows where last > ${behind}::bigint order by first offset 0) w
       cross join lateral (
         select * from ${logTable(message.loggedOn)} l
          where l.id between greatest(w.first, ${behind}::bigint + 1) and w.last and ${matches(message.id, filter)}
         offset 0) l
       -- windows are in order, so only the rows of one window at a time are sorted
       order by w.first, l.id offset ${page.offset} limit ${page.perPage}
    )
    ${recipientsOfPage(message.id)}`,
  )
}

export type ClickedFilter = RecipientFilter & { clicked: 'human' | 'any' }

/** The phones of the recipients with a click, of a person or any, on a message or on one of its links. */
const clickedPhones = (messageId: number, { clicked, linkId }: ClickedFilter): Sql => {
  const link = param(linkId)
  return sql`
    select distinct phone from clickers
     where message_id = ${messageId} and (${link}::bigint is null or link_id = ${link})
       and (human_click_count > 0 or ${clicked}::text = 'any')
     order by phone`
}

/** The same as `listRecipients`, by reading the rows of all recipients with such a click instead of those of all recipients. */
export function listClickedRecipients(tx: Db, message: LoggedMessage, filter: ClickedFilter, page: PageAfter) {
  return tx.many<RecipientOfMessage>(
    `list_clicked_recipients_${message.loggedOn}`,
    sql`
    with page as materialized (
      select ${pageColumns}
        from (${clickedPhones(message.id, filter)}) k
       cross join lateral (
         select * from ${logTable(message.loggedOn)} l
          where l.phone = k.phone and l.id > ${page.after} and ${matchesRow(message.id, filter)} offset 0) l
       order by l.id offset ${page.offset} limit ${page.perPage}
    )
    ${recipientsOfPage(message.id)}`,
  )
}

/** Counts the recipients that match a filter; reads all rows of the message. */
export async function countRecipients(tx: Db, message: LoggedMessage, filter: RecipientFilter): Promise<number> {
  const { n } = await tx.one<{ n: number }>(
    `count_recipients_${message.loggedOn}`,
    sql`
    with ${windowsOf(message)}
    select coalesce(sum(l.n), 0)::bigint as n
      from windows w
     cross join lateral (
       select count(*) as n from ${logTable(message.loggedOn)} l
        where l.id between w.first and w.last and ${matches(message.id, filter)} offset 0) l`,
  )
  return n
}

/** Counts the recipients with a click that match a filter; reads the rows of those with a click only. */
export async function countClickedRecipients(tx: Db, message: LoggedMessage, filter: ClickedFilter): Promise<number> {
  const { n } = await tx.one<{ n: number }>(
    `count_clicked_recipients_${message.loggedOn}`,
    sql`
    select coalesce(sum(l.n), 0)::bigint as n
      from (${clickedPhones(message.id, filter)}) k
     cross join lateral (
       select count(*) as n from ${logTable(message.loggedOn)} l
        where l.phone = k.phone and ${matchesRow(message.id, filter)} offset 0) l`,
  )
  return n
}
