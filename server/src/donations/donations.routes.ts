import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { MessageIdParam } from '../messages/messages.schema.ts'
import { PhoneParam } from '../subscribers/subscribers.schema.ts'
import type { Donation } from './donations.queries.ts'
import {
  DonationBody,
  DonationCreatedResponse,
  DonationPage,
  MessageDonationPage,
  presentDonation,
  presentTotals,
  readGift,
  withoutEnvelope,
} from './donations.schema.ts'
import {
  createMessageDonation,
  createSubscriberDonation,
  getDonationPage,
  getMessageDonationPage,
  getSubscriberDonationPage,
} from './donations.ts'

const tags = ['Donations']
const listParams = Type.Object({ list_id: ListIdParam })
const subscriberParams = Type.Object({ list_id: ListIdParam, phone_number: PhoneParam })
const messageParams = Type.Object({ list_id: ListIdParam, message_id: MessageIdParam })
const subscriberNotFound = errorResponse('No such subscriber, or no such list.')
const unacceptable = errorResponse('A value is invalid, or the list already has this donation.')

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
        querystring: PageQuery,
        response: {
          200: DonationPage,
          404: errorResponse('No such list on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getDonationPage(rt.db, req.account.id, req.params.list_id, page)
      return presentPage('donations', page, found, (donation) => presentDonation(donation, req.account.timeZone))
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
        querystring: PageQuery,
        response: { 200: DonationPage, 404: subscriberNotFound, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const { list_id, phone_number } = req.params
      const found = await getSubscriberDonationPage(rt.db, req.account.id, list_id, phone_number, page)
      return presentPage('donations', page, found, (donation) => presentDonation(donation, req.account.timeZone))
    },
  )

  app.post(
    '/lists/:list_id/subscribers/:phone_number/donations',
    {
      preValidation: unwrap,
      schema: {
        operationId: 'createSubscriberDonation',
        summary: 'Record a donation of a subscriber',
        description: 'The id of the donation on its platform is unique within the list.',
        tags,
        params: subscriberParams,
        body: DonationBody,
        response: { 201: DonationCreatedResponse, 404: subscriberNotFound, 422: unacceptable, ...commonErrors },
      },
    },
    async (req, reply) => {
      const { list_id, phone_number } = req.params
      const gift = readGift(req.body, rt.clock.now())
      const donation = await createSubscriberDonation(rt, req.account.id, list_id, phone_number, gift)
      reply.code(201)
      return { status: 'Donation created' as const, donation: presentDonation(donation, req.account.timeZone) }
    },
  )

  app.get(
    '/lists/:list_id/messages/:message_id/donations',
    {
      schema: {
        operationId: 'listMessageDonations',
        summary: 'List the donations that are attributed to a message',
        description:
          'Newest first, with their totals. A donation is attributed to the message that it names, or else to the last broadcast of the ' +
          'list that was accepted before it and has its refcode or utm_campaign in a link.',
        tags,
        'x-extension': true,
        params: messageParams,
        querystring: PageQuery,
        response: {
          200: MessageDonationPage,
          404: errorResponse('No such message, or no such list.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const { list_id, message_id } = req.params
      const found = await getMessageDonationPage(rt.db, req.account.id, list_id, message_id, page)
      const present = (donation: Donation) => presentDonation(donation, req.account.timeZone)
      return { ...presentPage('donations', page, found, present), ...presentTotals(found.totals) }
    },
  )

  app.post(
    '/lists/:list_id/messages/:message_id/donations',
    {
      preValidation: unwrap,
      schema: {
        operationId: 'createMessageDonation',
        summary: 'Record a donation that a message prompted',
        description:
          'The id of the donation on its platform is unique within the list. The message must have been sent.',
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
      const { list_id, message_id } = req.params
      const gift = readGift(req.body, rt.clock.now())
      const donation = await createMessageDonation(rt, req.account.id, list_id, message_id, gift)
      reply.code(201)
      return { status: 'Donation created' as const, donation: presentDonation(donation, req.account.timeZone) }
    },
  )
}

async function unwrap(req: FastifyRequest) {
  req.body = withoutEnvelope(req.body)
}
