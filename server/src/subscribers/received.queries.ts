import type { Db } from '../db/db.ts'

/** Returns, in the order of the keys, how many broadcasts of the list were sent to the number. */
export async function findReceivedCounts(db: Db, keys: { listId: number; phone: number }[]): Promise<number[]> {
  const rows = await db.many<{ n: number }>(
    'find_received_counts',
    /* sql */ `
    select (select count(*)
              from messages m
              join message_log g on g.message_id = m.id and g.phone = k.phone and g.state in ('sent', 'delivered')
             where m.list_id = k.list_id and m.kind = 'broadcast') as n
      from unnest($1::bigint[], $2::bigint[]) with ordinality k (list_id, phone, index)
     order by k.index`,
    [keys.map(({ listId }) => listId), keys.map(({ phone }) => phone)],
  )
  return rows.map(({ n }) => n)
}
