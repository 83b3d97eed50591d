import type { Db } from '../db/db.ts'

/** The id under which receipts of this connection are matched; made at its first use. */
export async function ensureConnection(db: Db, name: string): Promise<number> {
  const { id } = await db.one<{ id: number }>(
    'ensure_connection',
    /* sql */ `
    -- an update in vain, because of two first uses at once only that shows the loser the winner's row
    insert into connections (name) values ($1) on conflict (name) do update set name = excluded.name returning id`,
    [name],
  )
  return id
}
