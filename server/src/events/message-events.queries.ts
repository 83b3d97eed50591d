import type { Db } from '../db/db.ts'
import { listEvents } from './event-types.ts'

/**
 * Inserts `message_sent` for up to 100 broadcasts, with the counts of this moment: those with a bill and without an open row, and those that
 * were sent at `openUntil` or before. Marks them in the same statement, so that each broadcast has one event; returns how many
 * were marked. A broadcast whose list nobody listens to is marked without an event.
 */
export function insertMessageSent(db: Db, openUntil: Date, now: Date): Promise<number> {
  return db.exec(
    'insert_message_sent',
    /* sql */ `
    with due as (
      select m.* from messages m
       cross join lateral (select * from message_totals where message_id = m.id offset 0) c
       where m.status = 'sent' and m.kind = 'broadcast' and m.reported_at is null
         and (m.sent_at <= $1 or m.billed_at is not null and c.queued + c.submitting + c.sent + c.unknown = 0)
       order by m.sent_at, m.id limit 100 for update of m skip locked
    ), reported as (
      insert into event_outbox (account_id, list_id, type, occurred_at, facts)
      select m.account_id, m.list_id, 'message_sent', $2,
             jsonb_build_object(
               'id', m.id, 'name', m.name, 'sentAt', m.sent_at, 'content', m.content, 'delivered', c.delivered,
               'bounced', c.bounced + c.expired, 'pending', c.queued + c.submitting + c.sent + c.unknown,
               'cleaned', c.clean_count, 'unsubscribed', c.unsubscribe_count,
               'cost', coalesce((select round(b.cost, 2) from message_bills b where b.message_id = m.id), 0))
        from due m
        join lists l on l.id = m.list_id and l.deleted_at is null
        join accounts a on a.id = m.account_id
       cross join lateral (select * from message_totals where message_id = m.id offset 0) c
       where a.event_feed or l.listeners & ${listEvents.message_sent.bit} <> 0
    )
    update messages m set reported_at = $2 from due where m.id = due.id`,
    [openUntil, now],
  )
}
