import type { Db } from '../db/db.ts'
import type { Chunk, Recipient } from './chunk.ts'
import { blockOfRecipient, consentGiven } from './marks.queries.ts'

/**
 * The texts, of which some parts have been submitted, whose other parts may follow: checks all conditions of a mark again,
 * except a pause, which does not stop a text that has begun. Returns their ids; none when the chunk has a newer epoch.
 */
export async function listStillAllowed(db: Db, chunk: Chunk, recipients: Recipient[], now: Date): Promise<number[]> {
  const asksForBlock = chunk.consent === 'not_blocked'
  const rows = await db.many<{ id: number }>(
    `list_still_allowed_${chunk.consent}`,
    /* sql */ `
    select r.id
      from send_chunks c
      cross join lateral (select status, deliver_by from messages where id = $5 offset 0) m
      cross join unnest($3::bigint[], $4::bigint[]) as r(id, phone)
        left join lateral (select state from subscribers where list_id = $6 and phone = r.phone offset 0) s on true
        ${asksForBlock ? blockOfRecipient : ''}
     where c.id = $1 and c.epoch = $2 and coalesce(c.closes_at > $7, true)
       and m.status <> 'cancelled' and coalesce(m.deliver_by > $7, true) and (${consentGiven[chunk.consent]})`,
    [
      chunk.id,
      chunk.epoch,
      recipients.map((recipient) => recipient.id),
      recipients.map((recipient) => recipient.phone),
      chunk.messageId,
      chunk.listId,
      now,
      ...(asksForBlock ? [chunk.shortCodeId] : []),
    ],
  )
  return rows.map((row) => row.id)
}
