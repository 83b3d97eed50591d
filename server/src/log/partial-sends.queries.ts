import type { Db } from '../db/db.ts'
import { param, raw, sql } from '../db/sql.ts'
import type { Chunk, Recipient } from './chunk.ts'
import { consentGiven, recipientsWithBlocks } from './consent.sql.ts'

/**
 * Returns the ids of the partial sends whose other parts may be submitted now; none if the chunk has a newer epoch. It
 * checks all conditions of a mark again, except a pause, which does not stop a text that has been sent in part.
 */
export async function listStillAllowed(db: Db, chunk: Chunk, recipients: Recipient[], now: Date): Promise<number[]> {
  const time = param(now)
  const rows = await db.many<{ id: number }>(
    `list_still_allowed_${chunk.consent}`,
    sql`
    select r.id
      from send_chunks c
      cross join lateral (select status, deliver_by from messages where id = ${chunk.messageId} offset 0) m
      cross join ${recipientsWithBlocks(chunk, recipients)}
        left join lateral (select state from subscribers
                            where list_id = ${chunk.listId} and phone = r.phone offset 0) s on true
     where c.id = ${chunk.id} and c.epoch = ${chunk.epoch} and coalesce(c.closes_at > ${time}, true)
       and m.status <> 'cancelled' and coalesce(m.deliver_by > ${time}, true) and (${raw(consentGiven[chunk.consent])})`,
  )
  return rows.map((row) => row.id)
}
