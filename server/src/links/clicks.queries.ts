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

/** Returns the texts of these recipients of messages of one day; those of a day that the log no longer has are missing. */
export function listTexts(tx: Db, loggedOn: string, clickers: Clicker[]) {
  return tx.many<Clicker & ClickedText>(
    'list_clicked_texts',
    sql`
    select given.message_id as "messageId", given.phone, l.state, l.submitted_at as "submittedAt"
      from unnest(${clickers.map(({ messageId }) => messageId)}::bigint[], ${clickers.map(({ phone }) => phone)}::bigint[])
             as given(message_id, phone)
     cross join lateral (select state, submitted_at from message_log l
                          where l.logged_on = ${loggedOn}::date and l.phone = given.phone and l.message_id = given.message_id
                          offset 0) l`,
  )
}

/** What a recipient has clicked before: the latest time on any link of the message, and whether on this link. */
export type EarlierClicks = Clicker & { linkId: number; lastAt: Date; isClicked: boolean; isHuman: boolean }

/**
 * Returns the earlier clicks of these recipients. Each value is one look-up in an index, because a machine may have opened a
 * short URL a million times.
 */
export function listEarlierClicks(tx: Db, clicked: (Clicker & { linkId: number })[]) {
  return tx.many<EarlierClicks>(
    'list_earlier_clicks',
    sql`
    select given.link_id as "linkId", given.message_id as "messageId", given.phone, last.clicked_at as "lastAt",
           coalesce((select true from clicks c where c.link_id = given.link_id and c.phone = given.phone limit 1), false)
             as "isClicked",
           coalesce((select true from clicks c
                      where c.link_id = given.link_id and c.phone = given.phone and c.rule is null limit 1), false)
             as "isHuman"
      from unnest(${clicked.map(({ linkId }) => linkId)}::bigint[], ${clicked.map(({ messageId }) => messageId)}::bigint[],
                  ${clicked.map(({ phone }) => phone)}::bigint[]) as given(link_id, message_id, phone)
     cross join lateral (select clicked_at from clicks c where c.message_id = given.message_id and c.phone = given.phone
                          order by clicked_at desc limit 1) last`,
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

/** Returns the number of clicks of a message, by the counts of its links, or of one recipient of it. */
export async function countClicks(db: Db, messageId: number, phone: number | null): Promise<number> {
  const { n } = await (phone === null
    ? db.one<{ n: number }>(
        'count_clicks',
        /* sql */ `select coalesce(sum(click_count), 0)::bigint as n from links where message_id = $1`,
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
