import type { Db } from '../db/db.ts'
import { raw } from '../db/sql.ts'
import { tagsWithout, unionOfTags } from './tags.sql.ts'

/** Removes tags from one subscriber; returns the tags before that, or undefined if the number is not on the list. */
export async function removeTags(db: Db, listId: number, phone: number, tags: string[]): Promise<string[] | undefined> {
  const row = await db.maybeOne<{ before: string[] }>(
    'remove_tags_of_one',
    /* sql */ `
    update subscribers s
       set tags = ${tagsWithout(raw('s.tags'), raw('$3::text[]'))}
      from (select tags from subscribers where list_id = $1 and phone = $2 for no key update) old
     where s.list_id = $1 and s.phone = $2
    returning old.tags as before`,
    [listId, phone, tags],
  )
  return row?.before
}

/**
 * Returns the numbers among these that are subscribed to the list, and how many of them would have more than `maxTags`
 * tags with these.
 */
export async function findSubscribedAmong(db: Db, listId: number, phones: number[], tags: string[], maxTags: number) {
  const rows = await db.many<{ phone: number; isFull: boolean }>(
    'find_subscribed_among',
    /* sql */ `
    select phone,
           -- few subscribers have so many tags that the new ones must be compared
           case when cardinality(tags) + cardinality($3::text[]) > $4
                then cardinality(${unionOfTags(raw('tags'), raw('$3::text[]'))}) > $4
                else false end as "isFull"
      from subscribers
     where list_id = $1 and phone = any($2::bigint[]) and state = 'subscribed' order by phone`,
    [listId, phones, tags, maxTags],
  )
  return { phones: rows.map(({ phone }) => phone), full: rows.filter(({ isFull }) => isFull).length }
}
