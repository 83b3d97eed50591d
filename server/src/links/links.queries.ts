import type { Db } from '../db/db.ts'

export type LinkId = { id: number; link: string }

/** Reserves ids for links whose message is inserted afterwards. */
export function reserveLinkIds(tx: Db, links: string[]) {
  return tx.many<LinkId>(
    'reserve_link_ids',
    /* sql */ `select nextval('link_ids') as id, link from unnest($1::text[]) with ordinality as given(link, n) order by n`,
    [links],
  )
}

/** Inserts the links of a message, in the order of the content. */
export function insertLinks(tx: Db, messageId: number, links: LinkId[]) {
  return tx.exec(
    'insert_links',
    /* sql */ `
    insert into links (id, message_id, position, link)
    select id, $1, n - 1, link from unnest($2::bigint[], $3::text[]) with ordinality as given(id, link, n)`,
    [messageId, links.map(({ id }) => id), links.map(({ link }) => link)],
  )
}

/** Returns the links of a message with their ids, in the order of the content. */
export function listLinkIds(tx: Db, messageId: number) {
  return tx.many<LinkId>(
    'list_link_ids',
    /* sql */ `select id, link from links where message_id = $1 order by position`,
    [messageId],
  )
}

/** Returns the latest links with an id of at least `from`. */
export function listLinksFrom(db: Db, from: number, limit: number) {
  return db.many<LinkId>(
    'list_links_from',
    /* sql */ `select id, link from links where id >= $1 order by id desc limit $2`,
    [from, limit],
  )
}

/** Returns the link with this id. */
export function findLink(db: Db, id: number) {
  return db.maybeOne<LinkId>('find_link', /* sql */ `select id, link from links where id = $1`, [id])
}

/** Returns the id of a link of a message, as in its content; undefined if the message does not track it. */
export async function findLinkOfMessage(db: Db, messageId: number, link: string): Promise<number | undefined> {
  const found = await db.maybeOne<{ id: number }>(
    'find_link_of_message',
    /* sql */ `select id from links where message_id = $1 and link = $2`,
    [messageId, link],
  )
  return found?.id
}
