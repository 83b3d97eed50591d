import type { Db } from '../../db/db.ts'
import { param, raw, type Sql, sql } from '../../db/sql.ts'

/** Attempts within a span of time. */
export type AttemptCount = { delivered: number; failed: number }

/** The state of a webhook's endpoint. */
export type WebhookHealth = {
  enabled: boolean
  disabledAt: Date | null
  disabledReason: string | null
  failingSince: Date | null
  lastDeliveredAt: Date | null
  lastFailure: { id: number; at: string; status: number | null; error: string | null } | null
  lastHour: AttemptCount
  lastDay: AttemptCount
  /** Waiting deliveries, at most `maxCounted`. */
  queueLength: number
  /** When the oldest event that waits occurred. */
  oldestWaitingAt: Date | null
}

/** A longer queue is not counted, because a disabled endpoint may have millions of deliveries. */
export const maxCounted = 10_000

/** Returns the health of a webhook; undefined if it has no endpoint. All parts are read by index. */
export function findHealth(db: Db, webhookId: number, now: Date) {
  const at = param(now)
  return db.maybeOne<WebhookHealth>(
    'find_webhook_health',
    sql`
    select p.disabled_at is null as enabled, p.disabled_at as "disabledAt",
           p.disabled_reason as "disabledReason", p.failing_since as "failingSince",
           (select c.last_delivered_at from attempt_counts c
             where c.endpoint_id = p.id and c.last_delivered_at is not null
             order by c.since desc limit 1) as "lastDeliveredAt",
           (select json_build_object('id', a.id, 'at', a.started_at, 'status', a.status, 'error', a.error)
              from delivery_attempts a
             where a.endpoint_id = p.id and a.outcome <> 'delivered'
             order by a.started_at desc, a.id desc limit 1) as "lastFailure",
           ${countSince('1 hour', at)} as "lastHour", ${countSince('1 day', at)} as "lastDay",
           (select count(*) from (select from deliveries d where d.endpoint_id = p.id limit ${maxCounted}) d) as "queueLength",
           (select v.occurred_at from events v
             where v.position = (select d.position from deliveries d
                                  where d.endpoint_id = p.id order by d.position limit 1)) as "oldestWaitingAt"
      from endpoints p
     where p.webhook_id = ${webhookId}`,
  )
}

/** The attempts since a time, to the beginning of its five minutes. */
function countSince(interval: '1 hour' | '1 day', now: Sql): Sql {
  return sql`
           (select json_build_object('delivered', coalesce(sum(c.delivered), 0), 'failed', coalesce(sum(c.failed), 0))
              from attempt_counts c
             where c.endpoint_id = p.id
               and c.since >= date_bin('5 minutes', ${now}::timestamptz - interval '${raw(interval)}', 'epoch'))`
}
