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
      insert into event_outbox (account_id, list_id, type, occurred_at, time_zone, facts)
      select m.account_id, m.list_id, 'message_sent', $2, a.time_zone,
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

export type ReportTimes = {
  now: Date
  /** Messages that were accepted at this time or before are reported as pending. */
  pendingSince: Date
  limit: number
}

/**
 * Inserts `transactional_message_status` for up to `limit` messages whose result is to be looked at: the result, or once `pending`
 * after a while. Marks them in the same statement and sets the time of the next look, a quarter of their age later, up to five
 * minutes; a message with a result, or whose result will never be known, is not looked at again. Returns how many were looked at.
 */
export function insertResults(db: Db, { now, pendingSince, limit }: ReportTimes): Promise<number> {
  return db.exec(
    'insert_results',
    /* sql */ `
    with due as (
      select m.id, m.account_id, m.phone, m.webhook_callback_url, m.accepted_at, m.reported_at, m.closed_at
        from messages m where m.report_at <= $1 order by m.report_at limit $3 for update skip locked
    ), result as (
      select m.*, case when c.delivered > 0 then 'delivered'
                       when c.bounced + c.expired + c.suppressed + c.cancelled > 0 then 'bounced'
                       when m.reported_at is null and m.accepted_at <= $2 then 'pending' end as status
        from due m cross join lateral (select * from message_totals where message_id = m.id offset 0) c
    ), reported as (
      insert into event_outbox (account_id, type, phone, occurred_at, callback_url, time_zone, facts)
      select m.account_id, 'transactional_message_status', m.phone, $1, m.webhook_callback_url, a.time_zone,
             jsonb_build_object('messageId', m.id, 'status', m.status)
        from result m join accounts a on a.id = m.account_id
       where m.status is not null and (m.webhook_callback_url is not null or a.event_feed)
       order by m.id
    )
    update messages m
       set reported_at = case when r.status is not null then $1 else m.reported_at end,
           report_at = case when r.status in ('delivered', 'bounced') then null
                            -- the counters may be older than the row, so a message that has just been closed is looked at again
                            when r.closed_at < $1::timestamptz - interval '1 minute' then null
                            else $1::timestamptz + least(greatest(($1 - r.accepted_at) / 4, interval '1 second'),
                                                         interval '5 minutes') end
      from result r where m.id = r.id`,
    [now, pendingSince, limit],
  )
}
