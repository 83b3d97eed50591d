import type { Db } from '../db/db.ts'
import { param, raw, sql } from '../db/sql.ts'
import { tagsWithout, unionOfTags } from './tags.sql.ts'

/** Removes tags from one subscriber; returns the tags before that, or undefined if the number is not on the list. */
export async function removeTags(
  db: Db,
  listId: number,
  phone: number,
  tags: string[],
  at: Date,
): Promise<string[] | undefined> {
  const [list, number] = [param(listId), param(phone)]
  const row = await db.maybeOne<{ before: string[] }>(
    'remove_tags_of_one',
    sql`
    update subscribers s
       set tags = ${tagsWithout(raw('s.tags'), sql`${tags}::text[]`)}, updated_at = ${at}
      from (select tags from subscribers where list_id = ${list} and phone = ${number} for no key update) old
     where s.list_id = ${list} and s.phone = ${number}
    returning old.tags as before`,
  )
  return row?.before
}

/**
 * Returns the numbers among these that are subscribed to the list, and how many of them would have more than `maxTags`
 * tags with these.
 */
export async function findSubscribedAmong(db: Db, listId: number, phones: number[], tags: string[], maxTags: number) {
  const given = sql`${param(tags)}::text[]`
  const limit = param(maxTags)
  const rows = await db.many<{ phone: number; isFull: boolean }>(
    'find_subscribed_among',
    sql`
    select phone,
           -- few subscribers have so many tags that the new ones must be compared
           case when cardinality(tags) + cardinality(${given}) > ${limit}
                then cardinality(${unionOfTags(raw('tags'), given)}) > ${limit}
                else false end as "isFull"
      from subscribers
     where list_id = ${listId} and phone = any(${phones}::bigint[]) and state = 'subscribed' order by phone`,
  )
  return { phones: rows.map(({ phone }) => phone), full: rows.filter(({ isFull }) => isFull).length }
}
