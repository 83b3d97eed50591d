import type { Db } from '../db/db.ts'
import { type Sql, sql } from '../db/sql.ts'
import type { Profile } from './subscribers.queries.ts'

export type TagChange = { kind: 'add_tags' | 'replace_tags' | 'remove_tags'; tags: string[] }

/** A change to these numbers; null means all subscribers of the list. */
export type NewChange = { listId: number; phones: number[] | null } & (
  | TagChange
  | { kind: 'update_profile'; profile: Profile }
)

export type Change = NewChange & { id: number; cursorPhone: number; listDeleted: boolean }

export function insertChange(tx: Db, change: NewChange, now: Date) {
  return tx.exec(
    'insert_subscriber_change',
    /* sql */ `
    insert into subscriber_changes (list_id, kind, phones, tags, profile, created_at)
    values ($1, $2, $3, $4, $5, $6)`,
    [
      change.listId,
      change.kind,
      change.phones,
      'tags' in change ? change.tags : [],
      'profile' in change ? JSON.stringify(change.profile) : null,
      now,
    ],
  )
}

/**
 * Returns the oldest change of a list, locked for a slice. Undefined also when another worker ended that change while
 * this statement waited for its lock, so callers must check `hasChanges` before they stop.
 */
export function lockOldestChange(tx: Db, listId: number) {
  return tx.maybeOne<Change>(
    'lock_oldest_subscriber_change',
    /* sql */ `
    select c.id, c.list_id as "listId", c.kind, c.phones, c.tags, c.profile, c.cursor_phone as "cursorPhone",
           l.deleted_at is not null as "listDeleted"
      from subscriber_changes c join lists l on l.id = c.list_id
     where c.list_id = $1
     order by c.id limit 1
       for update of c`,
    [listId],
  )
}

export async function hasChanges(db: Db, listId: number): Promise<boolean> {
  const { found } = await db.one<{ found: boolean }>(
    'has_subscriber_changes',
    /* sql */ `select exists (select from subscriber_changes where list_id = $1) as found`,
    [listId],
  )
  return found
}

export function moveChange(tx: Db, id: number, cursorPhone: number) {
  return tx.exec('move_subscriber_change', /* sql */ `update subscriber_changes set cursor_phone = $2 where id = $1`, [
    id,
    cursorPhone,
  ])
}

export function deleteChange(tx: Db, id: number) {
  return tx.exec('delete_subscriber_change', /* sql */ `delete from subscriber_changes where id = $1`, [id])
}

/** Returns the next numbers of the list, and the ones among them that have one of the tags. */
export function listNextTagged(db: Db, listId: number, after: number, limit: number, tags: string[]) {
  return db.one<{ seen: number; last: number | null; tagged: number[] }>(
    'list_next_tagged',
    /* sql */ `
    select count(*) as seen, max(phone) as last,
           coalesce(array_agg(phone order by phone) filter (where tagged), '{}') as tagged
      from (select phone, tags && $4::text[] as tagged from subscribers
             where list_id = $1 and phone > $2 order by phone limit $3) s`,
    [listId, after, limit, tags],
  )
}

const newTags = {
  add_tags: (tags: Sql) => sql`tags || array(select tag from unnest(${tags}) with ordinality given (tag, n)
                                              where tag <> all (tags) order by n)`,
  replace_tags: (tags: Sql) => tags,
  remove_tags: (tags: Sql) => sql`array(select tag from unnest(tags) with ordinality stored (tag, n)
                                         where tag <> all (${tags}) order by n)`,
}

const isChanged = {
  add_tags: (tags: Sql) => sql`not tags @> ${tags}`,
  replace_tags: (tags: Sql) => sql`tags <> ${tags}`,
  remove_tags: (tags: Sql) => sql`tags && ${tags}`,
}

/** Adds, replaces or removes tags of the given numbers that are on the list, in any state. */
export function changeTags(db: Db, listId: number, phones: number[], change: TagChange) {
  const tags = sql`${change.tags}::text[]`
  return db.exec(
    change.kind,
    sql`
    update subscribers set tags = ${newTags[change.kind](tags)}
     where list_id = ${listId} and phone = any(${phones}::bigint[]) and ${isChanged[change.kind](tags)}`,
  )
}
