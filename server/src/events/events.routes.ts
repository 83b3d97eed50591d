import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import {
  EventPage,
  EventsQuery,
  FeedBody,
  FeedResponse,
  presentEventPage,
  presentFeed,
  readEventsQuery,
} from './events.schema.ts'
import { changeFeed, getFeed, getFeedPage } from './feed.ts'
import { FeedWaiters } from './feed-waiters.ts'

const common = { tags: ['Events'], 'x-extension': true }

export const eventRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const waiters = new FeedWaiters(rt.db)
  app.addHook('preClose', async () => waiters.stop())

  app.get(
    '/events',
    {
      // a request that waits must not use one of the account's places
      config: { batched: true },
      schema: {
        ...common,
        operationId: 'listEvents',
        summary: 'Read the event feed',
        description:
          'Returns events in the order of their positions, which never changes. To read all events once, pass `next_after` of ' +
          'the latest response as `after`. The payload of an event is what a webhook receives. If the feed is off, its remaining ' +
          'events can be read, and then the response is a 422 `event_feed_off`. At most 20 requests of an account wait at a time; ' +
          'another one is a 429.',
        querystring: EventsQuery,
        response: {
          200: EventPage,
          410: errorResponse(
            'Events after this position are deleted, or a backup was restored that does not have those before it.',
          ),
          422: errorResponse('A parameter is invalid, there is no such position yet, or the feed is off.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const closed = new AbortController()
      reply.raw.once('close', () => closed.abort())
      const query = readEventsQuery(req.query)
      const page = await getFeedPage(rt.db, waiters, {
        ...{ accountId: req.account.id, apiKeyId: req.apiKey.id },
        ...query,
        signal: closed.signal,
      })
      // the types describe the object, of which this is the text
      return reply.type('application/json; charset=utf-8').send(presentEventPage(page) as never)
    },
  )

  app.get(
    '/event_feed',
    {
      schema: {
        ...common,
        operationId: 'getEventFeed',
        summary: 'Get whether the event feed is on',
        description: 'With the positions that can be read.',
        response: { 200: FeedResponse, ...commonErrors },
      },
    },
    async (req) => ({ status: 'OK' as const, event_feed: presentFeed(await getFeed(rt.db, req.account.id)) }),
  )

  app.put(
    '/event_feed',
    {
      schema: {
        ...common,
        operationId: 'updateEventFeed',
        summary: 'Switch the event feed on or off',
        description:
          'While it is on, the changes of all lists of the account are events. Events that exist remain readable.',
        body: FeedBody,
        response: { 200: FeedResponse, 422: errorResponse('A value is invalid.'), ...commonErrors },
      },
    },
    async (req) => {
      const feed = await changeFeed(rt.db, req.account.id, req.body.event_feed.enabled)
      return { status: 'OK' as const, event_feed: presentFeed(feed) }
    },
  )
}
