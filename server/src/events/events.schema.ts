import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { Count, Id, Whole } from '../http/schema.ts'
import { eventTypes } from './event-types.ts'
import type { Feed, FeedPage } from './feed.ts'

const maxPageSize = 1_000
const maxWaitSeconds = 30

export const EventsQuery = Type.Object({
  after: Type.Optional(
    Whole(0, Number.MAX_SAFE_INTEGER, 'Position after which to read; without it, from the oldest event.'),
  ),
  types: Type.Optional(
    Type.String({
      maxLength: 500,
      description: `Types, separated by commas: ${eventTypes.map((type) => `\`${type}\``).join(', ')}.`,
    }),
  ),
  limit: Type.Optional(Whole(1, maxPageSize, 'Maximum number of events; 100 by default.')),
  wait: Type.Optional(
    Whole(
      0,
      maxWaitSeconds,
      'Maximum number of seconds that a request without new events waits for one; 0 by default.',
    ),
  ),
})

/** Returns a query of the feed; throws a 422 for an unknown type. */
export function readEventsQuery({ after, types, limit = 100, wait = 0 }: Static<typeof EventsQuery>) {
  const given = types?.split(',').map((type) => type.trim())
  const unknown = given?.find((type) => !(eventTypes as readonly string[]).includes(type))
  if (unknown !== undefined) throw errors.invalid({ types: [`has the unknown type ${unknown.slice(0, 60)}`] })
  return { after: after ?? null, types: given ?? null, limit, waitMs: wait * 1_000 }
}

export const EventPage = Type.Object({
  status: Type.Literal('OK'),
  events: Type.Array(
    Type.Object(
      {
        position: Id('Position in the feed.'),
        event: Type.Unsafe<unknown>({ type: 'object', description: 'The payload, as a webhook receives it.' }),
      },
      { title: 'Event' },
    ),
  ),
  next_after: Count('The value of `after` for the next request.'),
})

/**
 * Presents a page as JSON text, which contains the payloads as they are stored: if they were parsed, custom fields such as
 * `2026` would come first.
 */
export function presentEventPage({ events, nextAfter }: FeedPage): string {
  const items = events.map(({ position, payload }) => `{"position":${position},"event":${payload}}`)
  return `{"status":"OK","events":[${items.join(',')}],"next_after":${nextAfter}}`
}

const FeedSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    oldest_position: Id('The oldest position that may be read.'),
    last_position: Count('The last position, of any account.'),
  },
  { title: 'EventFeed' },
)

export const FeedBody = Type.Object({
  event_feed: Type.Object({ enabled: Type.Boolean() }, { title: 'EventFeedChange' }),
})

export const FeedResponse = Type.Object({ status: Type.Literal('OK'), event_feed: FeedSchema })

export function presentFeed({ enabled, oldestPosition, lastPosition }: Feed): Static<typeof FeedSchema> {
  return { enabled, oldest_position: oldestPosition, last_position: lastPosition }
}
