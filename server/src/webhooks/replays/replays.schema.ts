import { type Static, Type } from 'typebox'
import { errors } from '../../errors.ts'
import { idParam } from '../../http/path-params.ts'
import { Count, Id, Time, TimeOrNull, timeFault, WholeOrNull } from '../../http/schema.ts'
import { parseInstant } from '../../lib/dates.ts'
import { formatTime } from '../../lib/format-time.ts'
import type { Replay } from './replays.queries.ts'
import { maxReplayed, type ReplayRequest } from './replays.ts'

/** The id of a replay in a path. */
export const ReplayIdParam = idParam('Id of the replay.', errors.replayNotFound)

const maxPosition = Number.MAX_SAFE_INTEGER

export const ReplayBody = Type.Object({
  replay: Type.Object(
    {
      position: Type.Optional(Id('Replays one event.')),
      from_position: Type.Optional(Id('Replays the events of a range that the webhook receives.')),
      to_position: Type.Optional(Id('The end of the range; without it, the last event at the time of the request.')),
      failed_since: Type.Optional(
        Type.String({
          maxLength: 100,
          description:
            'Replays the events that were given up in attempts since this time and not delivered later; those that wait for ' +
            'a retry are due at once. ISO 8601 with an offset.',
        }),
      ),
    },
    { title: 'WebhookReplayCreation', description: 'Either `position`, or `from_position`, or `failed_since`.' },
  ),
})

/** Returns the request of a body; throws a 422 unless it has exactly one of the three forms. */
export function readReplay(body: Static<typeof ReplayBody>['replay']): ReplayRequest {
  const { position, from_position: fromPosition, to_position: toPosition, failed_since } = body
  const forms = [position, fromPosition, failed_since].filter((value) => value !== undefined)
  if (forms.length !== 1) {
    throw errors.invalid({ replay: ['must have exactly one of position, from_position and failed_since'] })
  }
  if (toPosition !== undefined && fromPosition === undefined) {
    throw errors.invalid({ 'replay.to_position': ['is allowed with from_position only'] })
  }
  if (position !== undefined) return { position }
  if (fromPosition !== undefined) return { fromPosition, toPosition: toPosition ?? null }
  const failedSince = parseInstant(failed_since ?? '')?.instant
  if (!failedSince) throw errors.invalid({ 'replay.failed_since': [timeFault] })
  return { failedSince }
}

const ReplaySchema = Type.Object(
  {
    id: Id('Id of the replay.'),
    webhook_id: Id('Id of the webhook.'),
    state: Type.String({
      enum: ['queued', 'done', 'capped', 'failed'],
      description:
        `\`done\`: its deliveries are queued. \`capped\`: ${maxReplayed} are, and there are more; \`next_position\` or ` +
        '`next_failed_since` continues.',
    }),
    from_position: WholeOrNull(1, maxPosition),
    to_position: WholeOrNull(0, maxPosition),
    failed_since: TimeOrNull,
    replayed: Count('Deliveries that it has queued.'),
    next_position: WholeOrNull(1, maxPosition, 'The `from_position` of a replay that continues this one.'),
    next_failed_since: TimeOrNull,
    created_at: Time,
    ended_at: TimeOrNull,
  },
  { title: 'WebhookReplay' },
)

export const ReplayResponse = Type.Object({ status: Type.Literal('OK'), replay: ReplaySchema })

export function presentReplay(replay: Replay, timeZone: string): Static<typeof ReplaySchema> {
  return {
    id: replay.id,
    webhook_id: replay.webhookId,
    state: replay.state,
    from_position: replay.fromPosition,
    to_position: replay.toPosition,
    failed_since: formatTime(replay.failedSince, timeZone),
    replayed: replay.replayed,
    next_position: replay.nextPosition,
    next_failed_since: formatTime(replay.nextFailedSince, timeZone),
    created_at: formatTime(replay.createdAt, timeZone),
    ended_at: formatTime(replay.endedAt, timeZone),
  }
}

export const AttemptReplayResponse = Type.Object({
  status: Type.Literal('OK'),
  attempt_replay: Type.Object(
    { attempt_id: Id('Id of the attempt.'), position: Id('Position of the event, which is queued.') },
    { title: 'WebhookAttemptReplay' },
  ),
})
