import type { Db } from '../db/db.ts'

/** Locks a file's row, and returns up to where it is stored; undefined if another process has locked it. */
export async function lockSpool(tx: Db, name: string): Promise<number | undefined> {
  await tx.exec('insert_click_spool', /* sql */ `insert into click_spools (name) values ($1) on conflict do nothing`, [
    name,
  ])
  const row = await tx.maybeOne<{ stored: number }>(
    'lock_click_spool',
    /* sql */ `select stored from click_spools where name = $1 for update skip locked`,
    [name],
  )
  return row?.stored
}

export function moveSpool(tx: Db, name: string, stored: number) {
  return tx.exec('move_click_spool', /* sql */ `update click_spools set stored = $2 where name = $1`, [name, stored])
}

/** Deletes the row of a file that was deleted. */
export function deleteSpool(db: Db, name: string) {
  return db.exec('delete_click_spool', /* sql */ `delete from click_spools where name = $1`, [name])
}
