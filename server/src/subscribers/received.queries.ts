import type { Db } from '../db/db.ts'
import { receivedCount } from './received.sql.ts'

/** Returns, in the order of the keys, how many broadcasts of the list the number received. */
export async function findReceivedCounts(db: Db, keys: { listId: number; phone: number }[]): Promise<number[]> {
  const rows = await db.many<{ n: number }>(
    'find_received_counts',
    /* sql */ `
    select ${receivedCount('k.list_id', 'k.phone')} as n
      from unnest($1::bigint[], $2::bigint[]) with ordinality k (list_id, phone, index)
     order by k.index`,
    [keys.map(({ listId }) => listId), keys.map(({ phone }) => phone)],
  )
  return rows.map(({ n }) => n)
}
