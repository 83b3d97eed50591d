import type { Db } from '../db/db.ts'

/** Those of the numbers that have left the list, where one is given, or that the short code may not text. */
export async function listOptedOut(
  db: Db,
  listId: number | null,
  shortCodeId: number,
  phones: number[],
): Promise<number[]> {
  const rows = await db.many<{ phone: number }>(
    'list_opted_out',
    /* sql */ `
    select g.phone
      from unnest($3::bigint[]) with ordinality as g(phone, n)
      left join lateral (select state from subscribers where list_id = $1 and phone = g.phone offset 0) s on true
      left join lateral (select since from blocks where short_code_id = $2 and phone = g.phone offset 0) b on true
     where s.state in ('unsubscribed', 'cleaned') or b.since is not null
     order by g.n`,
    [listId, shortCodeId, phones],
  )
  return rows.map((row) => row.phone)
}
