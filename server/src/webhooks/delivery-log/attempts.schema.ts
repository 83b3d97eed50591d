import { type Static, Type } from 'typebox'
import { errors } from '../../errors.ts'
import { eventTypes } from '../../events/event-types.ts'
import { idParam } from '../../http/path-params.ts'
import { Count, Id, maxInt32, TextOrNull, Time, timeFault, Whole, WholeOrNull } from '../../http/schema.ts'
import { parseInstant } from '../../lib/dates.ts'
import { formatTimeWithMs } from '../../lib/format-time.ts'
import { formatPhoneNumber, parsePhoneNumber } from '../../sms/phone-number.ts'
import {
  type AttemptDetails,
  type AttemptOutcome,
  type AttemptSummary,
  type LogKey,
  outcomes,
} from './attempts.queries.ts'
import type { LogPage, LogQuery } from './attempts.ts'

const maxPageSize = 1_000
const maxId = Number.MAX_SAFE_INTEGER

/** The id of an attempt in a path. */
export const AttemptIdParam = idParam('Id of the attempt.', errors.attemptNotFound)

const listed = (values: readonly string[]) => values.map((value) => `\`${value}\``).join(', ')

export const AttemptsQuery = Type.Object({
  webhook_id: Type.Optional(Id('Only attempts of this webhook.')),
  phone_number: Type.Optional(Type.String({ maxLength: 100, description: 'Only attempts of events of this phone.' })),
  position: Type.Optional(Id('Only attempts of the event at this position.')),
  types: Type.Optional(
    Type.String({ maxLength: 500, description: `Types of events, separated by commas: ${listed(eventTypes)}.` }),
  ),
  outcomes: Type.Optional(
    Type.String({ maxLength: 100, description: `Outcomes, separated by commas: ${listed(outcomes)}.` }),
  ),
  since: Type.Optional(Type.String({ maxLength: 100, description: 'Time of the earliest attempt, with an offset.' })),
  until: Type.Optional(
    Type.String({ maxLength: 100, description: 'Time before which all attempts are, with an offset.' }),
  ),
  before: Type.Optional(Type.String({ maxLength: 40, description: 'The `next_before` of the page before.' })),
  limit: Type.Optional(Whole(1, maxPageSize, 'Maximum number of attempts; 100 by default.')),
})

/** Returns a query of the log; throws a 422 that names each parameter that is invalid. */
export function readAttemptsQuery(given: Static<typeof AttemptsQuery>, accountId: number): LogQuery {
  const faults: Record<string, string[]> = {}
  const fault = (name: string, text: string) => {
    faults[name] = [text]
    return null
  }
  const among = <T extends string>(name: 'types' | 'outcomes', known: readonly T[]): T[] | null => {
    const values = given[name]?.split(',').map((value) => value.trim())
    const unknown = values?.find((value) => !(known as readonly string[]).includes(value))
    if (unknown !== undefined) return fault(name, `has the unknown value ${unknown.slice(0, 60)}`)
    return (values as T[] | undefined) ?? null
  }
  const time = (name: 'since' | 'until') => {
    const text = given[name]
    return text === undefined ? null : (parseInstant(text)?.instant ?? fault(name, timeFault))
  }
  const phone = given.phone_number === undefined ? null : parsePhoneNumber(given.phone_number)
  if (phone === undefined) fault('phone_number', 'is not a phone number')
  const cursor =
    given.before === undefined ? null : (readCursor(given.before) ?? fault('before', 'must be a next_before'))
  const query = {
    accountId,
    webhookId: given.webhook_id ?? null,
    phone: phone ?? null,
    position: given.position ?? null,
    types: among('types', eventTypes),
    outcomes: among<AttemptOutcome>('outcomes', outcomes),
    since: time('since'),
    before: earlier(cursor, time('until')),
    limit: given.limit ?? 100,
  }
  if (Object.keys(faults).length > 0) throw errors.invalid(faults)
  return query
}

/** The latest time that PostgreSQL and JavaScript can both represent is far beyond every attempt. */
const endOfTime = new Date('9999-12-31T23:59:59Z')

function earlier(cursor: LogKey | null, until: Date | null): LogKey {
  const bound = { startedAt: until ?? endOfTime, id: 0 }
  return cursor !== null && cursor.startedAt < bound.startedAt ? cursor : bound
}

function readCursor(text: string): LogKey | undefined {
  const [, ms, id] = /^(\d{1,14})-(\d{1,15})$/.exec(text) ?? []
  return ms === undefined || id === undefined ? undefined : { startedAt: new Date(Number(ms)), id: Number(id) }
}

const Headers = Type.Record(Type.String(), Type.String())

const summaryKeys = {
  id: Id('Id of the attempt.'),
  position: Id('Position of the event.'),
  type: Type.String({ description: 'Type of the event.' }),
  webhook_id: WholeOrNull(1, maxId, 'Null if the webhook no longer exists.'),
  list_id: WholeOrNull(1, maxId),
  phone_number: TextOrNull({ description: 'The phone of the event, if it has one.' }),
  is_test: Type.Boolean({ description: 'Whether the event is a test of the webhook.' }),
  attempt: Whole(1, 32_767, 'From 1.'),
  outcome: Type.String({
    enum: [...outcomes],
    description: '`failed` attempts are repeated; after a `dead` one, the delivery is given up.',
  }),
  started_at: Time,
  duration_ms: Whole(0, maxInt32),
  url: TextOrNull({ description: 'Without its query.' }),
  status: WholeOrNull(100, 999, 'Status of the response, if there was one.'),
  error: TextOrNull({
    description:
      'Why there was no response, such as `timeout`, `unreachable`, `reset`, `closed`, `invalid_certificate`, `unresolved` or `forbidden_address`.',
  }),
}

const AttemptSchema = Type.Object(summaryKeys, { title: 'WebhookAttempt' })

export const AttemptPage = Type.Object({
  status: Type.Literal('OK'),
  attempts: Type.Array(AttemptSchema),
  next_before: TextOrNull({ description: 'The value of `before` for the next page; null at the end of the log.' }),
})

export const AttemptResponse = Type.Object({
  status: Type.Literal('OK'),
  attempt: Type.Object(
    {
      ...summaryKeys,
      request: Type.Object(
        {
          headers: Headers,
          body: TextOrNull({ description: 'Null if the event is deleted.' }),
        },
        { title: 'WebhookSentRequest', description: 'Values of headers that may be secret are `[hidden]`.' },
      ),
      response: Type.Unsafe<{ headers: Record<string, string>; body: string; body_bytes: number } | null>({
        ...Type.Object(
          {
            headers: Headers,
            body: Type.String({ description: 'As UTF-8; of a success, at most 4 KB are stored.' }),
            body_bytes: Count('Stored bytes.'),
          },
          { title: 'WebhookReceivedResponse' },
        ),
        type: ['object', 'null'],
      }),
    },
    { title: 'WebhookAttemptDetails' },
  ),
})

const presentSummary = (attempt: AttemptSummary, timeZone: string): Static<typeof AttemptSchema> => ({
  id: attempt.id,
  position: attempt.position,
  type: attempt.type,
  webhook_id: attempt.webhookId,
  list_id: attempt.listId,
  phone_number: attempt.phone === null ? null : formatPhoneNumber(attempt.phone),
  is_test: attempt.isTest,
  attempt: attempt.attempt,
  outcome: attempt.outcome,
  started_at: formatTimeWithMs(attempt.startedAt, timeZone),
  duration_ms: attempt.durationMs,
  url: attempt.url,
  status: attempt.status,
  error: attempt.error,
})

export function presentLogPage({ attempts, next }: LogPage, timeZone: string): Static<typeof AttemptPage> {
  return {
    status: 'OK',
    attempts: attempts.map((attempt) => presentSummary(attempt, timeZone)),
    next_before: next && `${next.startedAt.getTime()}-${next.id}`,
  }
}

export function presentAttempt(attempt: AttemptDetails, timeZone: string): Static<typeof AttemptResponse>['attempt'] {
  const { requestHeaders, payload, responseHeaders, response } = attempt
  return {
    ...presentSummary(attempt, timeZone),
    request: { headers: requestHeaders, body: payload },
    response: response && {
      headers: responseHeaders ?? {},
      body: response.toString(),
      body_bytes: response.length,
    },
  }
}
