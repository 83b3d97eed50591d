import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'
import { pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { requestChange } from './changes.ts'
import { readProfile } from './profile.schema.ts'
import {
  PhonePage,
  PhoneParam,
  PhonesQuery,
  presentSubscriber,
  readCursor,
  SubscriberQueuedResponse,
  SubscriberResponse,
  SubscriberUpdateBody,
  SubscriberUpdatedResponse,
} from './subscribers.schema.ts'
import { changeProfile, getPhonePage, getPhonesAfter, getSubscriber, subscriberReader } from './subscribers.ts'
import { maxTags } from './tags.schema.ts'

const tags = ['Subscribers']
const listParams = Type.Object({ list_id: ListIdParam })
const params = Type.Object({ list_id: ListIdParam, phone_number: PhoneParam })
const notFound = errorResponse('No such subscriber, or no such list.')

const phonePages = [
  {
    path: 'subscribers',
    state: 'subscribed',
    operationId: 'listSubscribedNumbers',
    summary: 'List subscribed numbers',
    description: 'Phone numbers that get the messages of the list.',
  },
  {
    path: 'subscribers/unsubscribed',
    state: 'unsubscribed',
    operationId: 'listUnsubscribedNumbers',
    summary: 'List numbers that opted out',
    description: 'Phone numbers that were subscribed and opted out.',
  },
  {
    path: 'subscribers/cleaned',
    state: 'cleaned',
    operationId: 'listCleanedNumbers',
    summary: 'List cleaned numbers',
    description: 'Phone numbers that were taken off the list because their texts cannot be delivered.',
  },
] as const

export const subscriberRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const readSubscriber = subscriberReader(rt.db)

  for (const { path, state, operationId, summary, description } of phonePages) {
    app.get(
      `/lists/:list_id/${path}`,
      {
        schema: {
          operationId,
          summary,
          description,
          tags,
          params: listParams,
          querystring: PhonesQuery,
          response: {
            200: PhonePage,
            404: errorResponse('No such list on this account.'),
            422: errorResponse('`cursor` is neither 0 nor a next_cursor.'),
            ...commonErrors,
          },
        },
      },
      async (req) => {
        const page = pageFrom(req.query)
        const after = readCursor(req.query.cursor)
        if (after !== undefined) {
          const given = { after, perPage: page.perPage }
          const found = await getPhonesAfter(rt.db, req.account.id, req.params.list_id, state, given)
          const presented = presentPage('phone_numbers', { ...page, page: 1 }, found, (phone) => phone)
          return { ...presented, next_cursor: found.next }
        }
        const found = await getPhonePage(rt.db, req.account.id, req.params.list_id, state, page)
        return presentPage('phone_numbers', page, found, (phone) => phone)
      },
    )
  }

  app.get(
    '/lists/:list_id/subscribers/:phone_number',
    {
      config: { batched: true },
      schema: {
        operationId: 'getSubscriber',
        summary: 'Get a subscriber',
        description: 'Includes numbers that opted out or were cleaned.',
        tags,
        params,
        response: { 200: SubscriberResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const { list_id: listId, phone_number: phone } = req.params
      const subscriber = await readSubscriber(req.account.id, listId, phone)
      const presented = presentSubscriber(subscriber, req.account.timeZone)
      return {
        status: 'OK' as const,
        subscriber: { ...presented, total_messages_received: subscriber.messagesReceived },
      }
    },
  )

  app.put(
    '/lists/:list_id/subscribers/:phone_number',
    {
      schema: {
        operationId: 'updateSubscriber',
        summary: 'Update a subscriber',
        description: 'Changes the given fields and adds the given tags. Consent does not change.',
        tags,
        params,
        body: SubscriberUpdateBody,
        response: {
          200: SubscriberUpdatedResponse,
          404: notFound,
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, phone_number: phone } = req.params
      const { subscriber: body } = req.body
      const read = (fields: ValueRules[]) => readProfile(body, fields)
      const subscriber = await changeProfile(rt.db, req.account.id, listId, phone, read, rt.clock.now())
      return {
        status: 'Subscriber has been updated.' as const,
        subscriber: presentSubscriber(subscriber, req.account.timeZone),
      }
    },
  )

  app.put(
    '/lists/:list_id/subscribers/:phone_number/async',
    {
      schema: {
        operationId: 'updateSubscriberLater',
        summary: 'Update a subscriber in the background',
        description: 'Validates like the plain update; the change is applied within a few seconds.',
        tags,
        params,
        body: SubscriberUpdateBody,
        response: {
          200: SubscriberQueuedResponse,
          404: notFound,
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, phone_number } = req.params
      const { phone, customFields, tags: stored } = await getSubscriber(rt.db, req.account.id, listId, phone_number)
      const profile = await readProfile(req.body.subscriber, customFields)
      const change = { accountId: req.account.id, listId, phones: [phone], kind: 'update_profile' as const, profile }
      if (new Set([...stored, ...(profile.tags ?? [])]).size > maxTags) throw errors.tooManyTags()
      await requestChange(rt, change)
      return { status: 'Subscriber update is being processed.' as const }
    },
  )
}
