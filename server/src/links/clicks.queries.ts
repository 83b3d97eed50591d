import type { Db } from '../db/db.ts'
import { sql } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'
import type { ClickedText, Rule } from './machine-rules.ts'

/** A link with its message, whose row the transaction has locked. */
export type ClickedLink = { id: number; messageId: number; loggedOn: string }

/** Locks links in the order of their ids, so that their clicks are counted by one transaction at a time. */
export function lockLinks(tx: Db, ids: number[]) {
  return tx.many<ClickedLink>(
    'lock_links',
    /* sql */ `
    select l.id, l.message_id as "messageId", m.logged_on as "loggedOn"
      from links l join messages m on m.id = l.message_id
     where l.id = any($1::bigint[])
     order by l.id for no key update of l`,
    [ids],
  )
}

/** A recipient of a message. */
export type Clicker = { messageId: number; phone: number }

/**
 * Returns the texts of these recipients of messages of one day, and possibly further ones; those of a day that the log no longer
 * has are missing.
 */
export function listTexts(tx: Db, loggedOn: string, clickers: Clicker[]) {
  const phones = [...new Set(clickers.map(({ phone }) => phone))]
  const messageIds = [...new Set(clickers.map(({ messageId }) => messageId))]
  return tx.many<Clicker & ClickedText>(
    'list_clicked_texts',
    sql`
    select message_id as "messageId", phone, state, submitted_at as "submittedAt"
      from log_rows(${phones}::bigint[], array[${loggedOn}::date], null)
     where message_id = any(${messageIds}::bigint[])`,
  )
}

/** What a recipient has clicked before: one of the links of the message, the latest time, and whether a person has. */
export type EarlierClicks = Clicker & { linkId: number; lastAt: Date; isHuman: boolean }

/** Returns what these recipients have clicked before, on each link of their message. */
export function listEarlierClicks(tx: Db, clickers: Clicker[]) {
  return tx.many<EarlierClicks>(
    'list_earlier_clicks',
    sql`
    select c.message_id as "messageId", c.phone, c.link_id as "linkId", c.last_clicked_at as "lastAt",
           c.human_click_count > 0 as "isHuman"
      from unnest(${clickers.map(({ messageId }) => messageId)}::bigint[], ${clickers.map(({ phone }) => phone)}::bigint[])
             as given(message_id, phone)
     cross join lateral (select * from clickers c
                          where c.message_id = given.message_id and c.phone = given.phone offset 0) c`,
  )
}

export type NewClick = { linkId: number; messageId: number; phone: number; clickedAt: Date; rule: Rule | null }

export function insertClicks(tx: Db, clicks: NewClick[]) {
  return tx.exec(
    'insert_clicks',
    sql`
    insert into clicks (link_id, message_id, phone, clicked_at, rule)
    select * from unnest(${clicks.map((click) => click.linkId)}::bigint[], ${clicks.map((click) => click.messageId)}::bigint[],
                         ${clicks.map((click) => click.phone)}::bigint[],
                         ${clicks.map((click) => click.clickedAt)}::timestamptz[], ${clicks.map((click) => click.rule)}::text[])`,
  )
}

/** What clicks add to the counts of a link. */
export type AddedCounts = { linkId: number; clicks: number; unique: number; human: number; uniqueHuman: number }

export function addCounts(tx: Db, added: AddedCounts[]) {
  return tx.exec(
    'add_click_counts',
    sql`
    update links l
       set click_count = click_count + n, unique_click_count = unique_click_count + is_new,
           human_click_count = human_click_count + human, unique_human_click_count = unique_human_click_count + new_human
      from unnest(${added.map((one) => one.linkId)}::bigint[], ${added.map((one) => one.clicks)}::int[],
                  ${added.map((one) => one.unique)}::int[], ${added.map((one) => one.human)}::int[],
                  ${added.map((one) => one.uniqueHuman)}::int[]) as given(id, n, is_new, human, new_human)
     where l.id = given.id`,
  )
}

/** Clicks of a recipient on a link. */
export type AddedClicks = Clicker & {
  linkId: number
  clicks: number
  human: number
  firstAt: Date
  firstHumanAt: Date | null
  lastAt: Date
}

/** Adds clicks to what their recipients have clicked; the transaction has locked the links. */
export function addClickers(tx: Db, added: AddedClicks[]) {
  return tx.exec(
    'add_clickers',
    sql`
    insert into clickers as c (message_id, phone, link_id, click_count, human_click_count, first_clicked_at,
                               first_human_clicked_at, last_clicked_at)
    select * from unnest(${added.map((one) => one.messageId)}::bigint[], ${added.map((one) => one.phone)}::bigint[],
                         ${added.map((one) => one.linkId)}::bigint[], ${added.map((one) => one.clicks)}::bigint[],
                         ${added.map((one) => one.human)}::bigint[], ${added.map((one) => one.firstAt)}::timestamptz[],
                         ${added.map((one) => one.firstHumanAt)}::timestamptz[],
                         ${added.map((one) => one.lastAt)}::timestamptz[])
        on conflict (message_id, phone, link_id) do update
       set click_count = c.click_count + excluded.click_count,
           human_click_count = c.human_click_count + excluded.human_click_count,
           -- another file may have earlier clicks
           first_clicked_at = least(c.first_clicked_at, excluded.first_clicked_at),
           first_human_clicked_at = least(c.first_human_clicked_at, excluded.first_human_clicked_at),
           last_clicked_at = greatest(c.last_clicked_at, excluded.last_clicked_at)`,
  )
}

/** Returns the oldest clicks before a time, at most `limit`. */
export function listOldClicks(tx: Db, before: Date, limit: number) {
  return tx.many<{ id: number; linkId: number }>(
    'list_old_clicks',
    /* sql */ `
    select id, link_id as "linkId" from clicks where clicked_at < $1 order by clicked_at limit $2`,
    [before, limit],
  )
}

/** Deletes clicks, whose links the transaction has locked; all counts remain. */
export function deleteClicks(tx: Db, ids: number[]) {
  return tx.exec(
    'delete_clicks',
    /* sql */ `
    with deleted as (
      delete from clicks where id = any($1::bigint[]) returning link_id
    ), counted as (
      select link_id, count(*) as n from deleted group by link_id
    )
    update links l set deleted_click_count = deleted_click_count + c.n from counted c where l.id = c.link_id`,
    [ids],
  )
}

/** Returns whether the list has this message. */
export function findMessageOfList(db: Db, listId: number, messageId: number) {
  return db.maybeOne<{ id: number }>(
    'find_message_of_list',
    /* sql */ `
    select id from messages where id = $2 and list_id = $1 and kind in ('broadcast', 'transactional')`,
    [listId, messageId],
  )
}

export type StoredClick = { link: string; phone: number; clickedAt: Date; rule: Rule | null }

/** Returns the number of clicks that are kept of a message, by the counts of its links, or of one recipient of it. */
export async function countClicks(db: Db, messageId: number, phone: number | null): Promise<number> {
  const { n } = await (phone === null
    ? db.one<{ n: number }>(
        'count_clicks',
        /* sql */ `select coalesce(sum(click_count - deleted_click_count), 0)::bigint as n from links where message_id = $1`,
        [messageId],
      )
    : db.one<{ n: number }>(
        'count_clicks_of_recipient',
        /* sql */ `select count(*) as n from clicks where message_id = $1 and phone = $2`,
        [messageId, phone],
      ))
  return n
}

/** Returns a page of the clicks of a message, or of one recipient of it, latest first. */
export function listClicks(db: Db, messageId: number, phone: number | null, page: PageBounds) {
  const ofPhone = phone === null ? sql`` : sql`and c.phone = ${phone}`
  return db.many<StoredClick>(
    phone === null ? 'list_clicks' : 'list_clicks_of_recipient',
    sql`
    select l.link, c.phone, c.clicked_at as "clickedAt", c.rule
      from clicks c join links l on l.id = c.link_id
     where c.message_id = ${messageId} ${ofPhone}
     order by c.id desc offset ${page.offset} limit ${page.perPage}`,
  )
}
