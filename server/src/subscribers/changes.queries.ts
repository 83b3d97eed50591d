import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { nextAccount } from '../jobs/next-account.sql.ts'
import type { Profile } from './subscribers.queries.ts'
import { hasAnyTag, tagsWithout, unionOfTags } from './tags.sql.ts'

export type TagChange = { kind: 'add_tags' | 'replace_tags' | 'remove_tags'; tags: string[] }

/** A change to these numbers; null means all subscribers of the list. */
export type NewChange = { accountId: number; listId: number; phones: number[] | null } & (
  | TagChange
  | { kind: 'update_profile'; profile: Profile }
)

export type Change = NewChange & { id: number; cursorPhone: number; failures: number; listDeleted: boolean }

export function insertChange(tx: Db, change: NewChange, now: Date) {
  return tx.exec(
    'insert_subscriber_change',
    /* sql */ `
    insert into subscriber_changes (account_id, list_id, kind, phones, tags, profile, created_at)
    values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      change.accountId,
      change.listId,
      change.kind,
      change.phones,
      'tags' in change ? change.tags : [],
      'profile' in change ? JSON.stringify(change.profile) : null,
      now,
    ],
  )
}

/** The condition that a change is the oldest of its list, and not postponed after a failure. */
const isDue = (now: Sql) => sql`
  (c.retry_at is null or c.retry_at <= ${now}::timestamptz)
  and not exists (select from subscriber_changes older where older.list_id = c.list_id and older.id < c.id)`

/** Returns the first account above `after` with due changes, or the first of all; undefined if none is due. */
export async function findNextAccount(db: Db, after: number, now: Date): Promise<number | undefined> {
  const row = await db.maybeOne<{ accountId: number }>(
    'find_next_account_with_changes',
    nextAccount(raw('subscriber_changes c'), isDue(param(now)), after),
  )
  return row?.accountId
}

/** Locks the oldest due change of an account for a slice, and returns it. */
export function lockNextChange(tx: Db, accountId: number, now: Date) {
  return tx.maybeOne<Change>(
    'lock_next_subscriber_change',
    sql`
    select c.id, c.account_id as "accountId", c.list_id as "listId", c.kind, c.phones, c.tags, c.profile,
           c.cursor_phone as "cursorPhone", c.failures, l.deleted_at is not null as "listDeleted"
      from subscriber_changes c join lists l on l.id = c.list_id
     where c.account_id = ${accountId} and ${isDue(param(now))}
     order by c.id limit 1
       for update of c`,
  )
}

/** Sets the number of failed turns of a change, and when its next one is due. */
export function postponeChange(tx: Db, id: number, failures: number, until: Date) {
  return tx.exec(
    'postpone_subscriber_change',
    /* sql */ `update subscriber_changes set failures = $2, retry_at = $3 where id = $1`,
    [id, failures, until],
  )
}

export function moveChange(tx: Db, id: number, cursorPhone: number) {
  return tx.exec(
    'move_subscriber_change',
    /* sql */ `update subscriber_changes set cursor_phone = $2, failures = 0, retry_at = null where id = $1`,
    [id, cursorPhone],
  )
}

export function deleteChange(tx: Db, id: number) {
  return tx.exec('delete_subscriber_change', /* sql */ `delete from subscriber_changes where id = $1`, [id])
}

/** Returns the next numbers of the list, and the ones among them that have one of the tags. */
export function listNextTagged(db: Db, listId: number, after: number, limit: number, tags: string[]) {
  return db.one<{ seen: number; last: number | null; tagged: number[] }>(
    'list_next_tagged',
    sql`
    select count(*) as seen, max(phone) as last,
           coalesce(array_agg(phone order by phone) filter (where tagged), '{}') as tagged
      from (select phone, ${hasAnyTag(raw('tags'), sql`${param(tags)}::text[]`)} as tagged from subscribers
             where list_id = ${listId} and phone > ${after} order by phone limit ${limit}) s`,
  )
}

const newTags = {
  add_tags: (tags: Sql) => unionOfTags(raw('tags'), tags),
  replace_tags: (tags: Sql) => tags,
  remove_tags: (tags: Sql) => tagsWithout(raw('tags'), tags),
}

const isChanged = {
  add_tags: (tags: Sql) => sql`not tags @> ${tags}`,
  replace_tags: (tags: Sql) => sql`tags <> ${tags}`,
  remove_tags: (tags: Sql) => hasAnyTag(raw('tags'), tags),
}

/** Returns the number of the account's queued changes. */
export async function countChanges(db: Db, accountId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_subscriber_changes',
    /* sql */ `select count(*) as n from subscriber_changes where account_id = $1`,
    [accountId],
  )
  return n
}

/**
 * Adds, replaces or removes tags of the given numbers that are on the list, in any state. Skips subscribers that would then
 * have more than `maxTags` tags; without it, such a subscriber violates `subscribers_tags`.
 */
export function changeTags(
  db: Db,
  listId: number,
  phones: number[],
  change: TagChange,
  at: Date,
  maxTags: number | null = null,
) {
  const tags = sql`${change.tags}::text[]`
  const most = param(maxTags)
  return db.exec(
    change.kind,
    sql`
    update subscribers set tags = ${newTags[change.kind](tags)}, updated_at = ${at}
     where list_id = ${listId} and phone = any(${phones}::bigint[]) and ${isChanged[change.kind](tags)}
       and (${most}::int is null or cardinality(tags) + cardinality(${tags}) <= ${most} or cardinality(${newTags[change.kind](tags)}) <= ${most})`,
  )
}
