import type { Db } from '../db/db.ts'

/** The id under which receipts of this connection are matched; made at its first use. */
export async function ensureConnection(db: Db, name: string): Promise<number> {
  const { id } = await db.one<{ id: number }>(
    'ensure_connection',
    /* sql */ `
    with added as (
      insert into connections (name) values ($1) on conflict do nothing returning id
    )
    select id from added union all select id from connections where name = $1 limit 1`,
    [name],
  )
  return id
}
