import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { envelope, pageFrom, pageQuery, pageSchema } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { MessageIdParam } from '../messages/messages.schema.ts'
import { findSubscriberState } from '../subscribers/state.queries.ts'
import { PhoneParam } from '../subscribers/subscribers.schema.ts'
import { phoneOfPath } from '../subscribers/subscribers.ts'
import { countDonations, isMessageOfList, listDonations } from './donations.queries.ts'
import {
  DonationBody,
  DonationCreatedResponse,
  DonationSchema,
  presentDonation,
  readGift,
  withoutEnvelope,
} from './donations.schema.ts'
import { bookDonation } from './donations.ts'

const tags = ['Donations']
const listParams = Type.Object({ list_id: ListIdParam })
const subscriberParams = Type.Object({ list_id: ListIdParam, phone_number: PhoneParam })
const messageParams = Type.Object({ list_id: ListIdParam, message_id: MessageIdParam })
const noSubscriber = errorResponse('No such subscriber, or no such list.')
const unacceptable = errorResponse('A value is not acceptable, or the list has this donation already.')

export const donationRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/donations',
    {
      schema: {
        operationId: 'listDonations',
        summary: 'List the donations of a list',
        description: 'Newest first.',
        tags,
        params: listParams,
        querystring: Type.Object(pageQuery),
        response: {
          200: pageSchema('donations', DonationSchema),
          404: errorResponse('No such list on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      return pageOf(listId, null, req)
    },
  )

  app.get(
    '/lists/:list_id/subscribers/:phone_number/donations',
    {
      schema: {
        operationId: 'listSubscriberDonations',
        summary: 'List the donations of a subscriber',
        description: 'Newest first.',
        tags,
        params: subscriberParams,
        querystring: Type.Object(pageQuery),
        response: { 200: pageSchema('donations', DonationSchema), 404: noSubscriber, ...commonErrors },
      },
    },
    async (req) => {
      const { listId, phone } = await knownSubscriber(req)
      return pageOf(listId, phone, req)
    },
  )

  app.post(
    '/lists/:list_id/subscribers/:phone_number/donations',
    {
      preValidation: unwrap,
      schema: {
        operationId: 'createSubscriberDonation',
        summary: 'Book a donation of a subscriber',
        tags,
        params: subscriberParams,
        body: DonationBody,
        response: { 201: DonationCreatedResponse, 404: noSubscriber, 422: unacceptable, ...commonErrors },
      },
    },
    async (req, reply) => {
      const { listId, phone } = await knownSubscriber(req)
      const now = rt.clock.now()
      const donation = await bookDonation(rt.db, listId, { phone }, readGift(req.body, now), now)
      return reply
        .code(201)
        .send({ status: 'Donation created', donation: presentDonation(donation, req.account.timeZone) })
    },
  )

  app.post(
    '/lists/:list_id/messages/:message_id/donations',
    {
      preValidation: unwrap,
      schema: {
        operationId: 'createMessageDonation',
        summary: 'Book a donation that a message brought in',
        tags,
        params: messageParams,
        body: DonationBody,
        response: {
          201: DonationCreatedResponse,
          404: errorResponse('No such message, or no such list.'),
          422: unacceptable,
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const { message_id: messageId } = req.params
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      if (!(await isMessageOfList(rt.db, listId, messageId))) throw errors.messageNotFound()
      const now = rt.clock.now()
      const donation = await bookDonation(rt.db, listId, { messageId }, readGift(req.body, now), now)
      return reply
        .code(201)
        .send({ status: 'Donation created', donation: presentDonation(donation, req.account.timeZone) })
    },
  )

  async function pageOf(listId: number, phone: number | null, req: FastifyRequest) {
    const page = pageFrom(req.query as Parameters<typeof pageFrom>[0])
    const [count, donations] = await Promise.all([
      countDonations(rt.db, listId, phone),
      listDonations(rt.db, listId, phone, page),
    ])
    return {
      ...envelope(page, count),
      donations: donations.map((donation) => presentDonation(donation, req.account.timeZone)),
    }
  }

  /** Whoever is or was on the list; a gift does not ask for consent. */
  async function knownSubscriber(req: { account: { id: number }; params: { list_id: number; phone_number: string } }) {
    const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
    const phone = phoneOfPath(req.params.phone_number)
    if (!(await findSubscriberState(rt.db, listId, phone))) throw errors.subscriberNotFound()
    return { listId, phone }
  }
}

async function unwrap(req: FastifyRequest) {
  req.body = withoutEnvelope(req.body)
}
