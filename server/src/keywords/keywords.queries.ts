import type { Db } from '../db/db.ts'

/**
 * Reserves words for a list and returns the ones that were free; the others belong to a list of the same short code.
 */
export async function insertKeywords(
  db: Db,
  list: { id: number; shortCodeId: number },
  names: string[],
  now: Date,
): Promise<string[]> {
  // always in the same order, so that two lists that reserve the same words do not deadlock
  const rows = await db.many<{ name: string }>(
    'insert_keywords',
    /* sql */ `
    insert into keywords (short_code_id, list_id, name, created_at)
    select $1, $2, name, $4 from unnest($3::text[]) name order by name
        on conflict (short_code_id, name) where released_at is null do nothing
    returning name`,
    [list.shortCodeId, list.id, names, now],
  )
  return rows.map(({ name }) => name)
}

/** Returns the keywords of a list in alphabetical order. */
export async function listKeywordNames(db: Db, listId: number): Promise<string[]> {
  const rows = await db.many<{ name: string }>(
    'list_keyword_names',
    /* sql */ `select name from keywords where list_id = $1 and released_at is null order by name`,
    [listId],
  )
  return rows.map(({ name }) => name)
}

/** Releases a list's keywords, except the given ones. */
export function releaseKeywords(db: Db, listId: number, now: Date, except: string[] = []) {
  return db.exec(
    'release_keywords',
    /* sql */ `
    update keywords set released_at = $2
     where list_id = $1 and released_at is null and name <> all ($3::text[])`,
    [listId, now, except],
  )
}

/** Returns whether a word belongs to a list of this short code. */
export async function isKeywordTaken(db: Db, shortCodeId: number, name: string): Promise<boolean> {
  const row = await db.maybeOne(
    'find_keyword_owner',
    /* sql */ `select from keywords where short_code_id = $1 and name = $2 and released_at is null`,
    [shortCodeId, name],
  )
  return row !== undefined
}
