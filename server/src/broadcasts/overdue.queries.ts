import type { Db } from '../db/db.ts'
import { totalsOf } from '../log/counters.sql.ts'
import { ofRound } from '../log/failures.sql.ts'

export type OverdueMessage = {
  messageId: number
  loggedOn: string
  /** When its unknown texts were last requeued. */
  requeuedAt: Date | null
  /** Whether its unknown texts may be requeued. */
  mayRequeue: boolean
}

/**
 * Returns up to 100 sent or cancelled messages at their receipt deadline, the oldest of each account first: those whose
 * closing has not failed, or only this one. A connection may have its own deadline; a message's deadline is the latest one of its short code's connections.
 * `defaultDeadlineMs` applies to connections without their own.
 */
export function listOverdue(db: Db, now: Date, defaultDeadlineMs: number, only: number | null) {
  return db.many<OverdueMessage>(
    'list_overdue',
    /* sql */ `
    with deadlines as materialized (
      select s.id as short_code_id,
             coalesce(max(coalesce(c.receipt_deadline_s * interval '1 second', given.deadline)), given.deadline) as deadline
        from short_codes s
        cross join (select $2 * interval '1 millisecond' as deadline) given
        left join connections c
               on exists (select from short_code_routes r where r.short_code_id = s.id and r.connection_id = c.id)
               or (c.serves_all and not exists (select from short_code_routes r where r.short_code_id = s.id))
       group by s.id, given.deadline
    ), cutoff as materialized (
      select $1::timestamptz - coalesce(min(deadline), interval '0') as at from deadlines
    )
    select id as "messageId", logged_on as "loggedOn", requeued_at as "requeuedAt", may_requeue as "mayRequeue" from (
      select m.id, m.account_id, m.logged_on, m.requeued_at, m.sent_at as ended_at,
             -- not if its unknown texts were requeued before, or its list was deleted
             m.requeued_at is null and m.kind <> 'system' and coalesce(m.deliver_by > $1, true)
               and exists (select from lists l
                            where l.id = m.list_id and l.when_unknown = 'never_miss' and l.deleted_at is null)
               as may_requeue
        from messages m join deadlines d on d.short_code_id = m.short_code_id
       where m.status = 'sent' and m.closed_at is null and m.sent_at < (select at from cutoff)
         and greatest(m.sent_at, m.requeued_at) < $1 - d.deadline
      union all
      select m.id, m.account_id, m.logged_on, m.requeued_at, m.cancelled_at, false
        from messages m
        join deadlines d on d.short_code_id = m.short_code_id
        cross join ${totalsOf('m.id')} c
       where m.status = 'cancelled' and m.closed_at is null and m.cancelled_at < (select at from cutoff)
         and m.cancelled_at < $1 - d.deadline
         -- rows that a gateway left submitting must become unknown first
         and c.queued = 0 and c.submitting = 0
    ) ended
     where ${ofRound('close', 'ended.id', 3)}
     order by row_number() over (partition by account_id order by ended_at), ended_at limit 100`,
    [now, defaultDeadlineMs, only],
  )
}

/**
 * Locks a message whose unknown texts may be requeued; returns false if they were requeued before, or it was cancelled.
 */
export async function claimRequeue(tx: Db, message: { messageId: number }): Promise<boolean> {
  const row = await tx.maybeOne(
    'claim_requeue',
    /* sql */ `
    select 1 from messages where id = $1 and status = 'sent' and closed_at is null and requeued_at is null for update`,
    [message.messageId],
  )
  return row !== undefined
}
