import { type Static, Type } from 'typebox'
import { Count, Id, TextOrNull, Time, TimeOrNull, Whole, WholeOrNull } from '../../http/schema.ts'
import { formatTime } from '../../lib/format-time.ts'
import { type AttemptCount, maxCounted, type WebhookHealth } from './health.queries.ts'

const AttemptRate = Type.Object(
  {
    delivered: Count('Successful attempts.'),
    failed: Count('Failed attempts.'),
    success_rate: Type.Unsafe<number | null>({
      type: ['number', 'null'],
      minimum: 0,
      maximum: 1,
      description: 'Null without attempts.',
    }),
  },
  { title: 'WebhookAttemptRate' },
)

const HealthSchema = Type.Object(
  {
    webhook_id: Id('Id of the webhook.'),
    enabled: Type.Boolean(),
    disabled_at: TimeOrNull,
    disabled_reason: TextOrNull({
      description:
        '`gone`: it responded 410; `failing`: all attempts of five days failed; `requested`: an update set `enabled` to false.',
    }),
    failing_since: Type.Unsafe<string | null>({
      ...TimeOrNull,
      description: 'The first failed attempt after the last success.',
    }),
    last_success_at: TimeOrNull,
    last_failure: Type.Unsafe<{ attempt_id: number; at: string; status: number | null; error: string | null } | null>({
      ...Type.Object(
        { attempt_id: Id('Id of the attempt.'), at: Time, status: WholeOrNull(100, 999), error: TextOrNull() },
        { title: 'WebhookFailure' },
      ),
      type: ['object', 'null'],
    }),
    last_hour: AttemptRate,
    last_day: AttemptRate,
    queue_length: Whole(0, maxCounted, `Events that wait; ${maxCounted} means that number or more.`),
    oldest_waiting_at: Type.Unsafe<string | null>({
      ...TimeOrNull,
      description: 'When the oldest event that waits occurred.',
    }),
  },
  { title: 'WebhookHealth' },
)

export const HealthResponse = Type.Object({ status: Type.Literal('OK'), health: HealthSchema })

const presentRate = ({ delivered, failed }: AttemptCount) => ({
  delivered,
  failed,
  success_rate: delivered + failed === 0 ? null : Math.round((delivered / (delivered + failed)) * 10_000) / 10_000,
})

export function presentHealth(id: number, health: WebhookHealth, timeZone: string): Static<typeof HealthSchema> {
  const { lastFailure } = health
  return {
    webhook_id: id,
    enabled: health.enabled,
    disabled_at: formatTime(health.disabledAt, timeZone),
    disabled_reason: health.disabledReason,
    failing_since: formatTime(health.failingSince, timeZone),
    last_success_at: formatTime(health.lastDeliveredAt, timeZone),
    last_failure: lastFailure && {
      attempt_id: lastFailure.id,
      at: formatTime(new Date(lastFailure.at), timeZone),
      status: lastFailure.status,
      error: lastFailure.error,
    },
    last_hour: presentRate(health.lastHour),
    last_day: presentRate(health.lastDay),
    queue_length: health.queueLength,
    oldest_waiting_at: formatTime(health.oldestWaitingAt, timeZone),
  }
}
