import type { Db } from '../../db/db.ts'

/** Returns those of these messages that the list's account has accepted with tracked links, and their links. */
export function listTrackedMessages(db: Db, listId: number, ids: number[]) {
  return db.many<{ id: number; links: string[] }>(
    'list_tracked_messages',
    /* sql */ `
    select m.id, array_agg(k.link) as links
      from messages m join links k on k.message_id = m.id
     where m.id = any($2::bigint[]) and m.account_id = (select account_id from lists where id = $1)
     group by m.id`,
    [listId, ids],
  )
}
