import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import { makeLookUp } from '../carriers/look-up.ts'
import { listCustomFields } from '../custom-fields/custom-fields.queries.ts'
import { errors } from '../errors.ts'
import { commonErrors, errorResponse, isSet } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList, getListOrDeleted, listReader } from '../lists/lists.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { mayNameFields, readProfile } from '../subscribers/profile.schema.ts'
import { findSubscriber } from '../subscribers/subscribers.queries.ts'
import { PhoneParam, presentSubscriber } from '../subscribers/subscribers.schema.ts'
import { phoneOfPath } from '../subscribers/subscribers.ts'
import { addStatusOf, SubscriberAddBody, SubscriberAddedResponse, UnsubscribedResponse } from './opt-ins.schema.ts'
import { optOut } from './opt-out.ts'
import { addSubscriber, lookUpReachable } from './subscribe.ts'

const tags = ['Subscribers']

export const optInRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const lookUp = makeLookUp(rt)
  const readList = listReader(rt.db)

  app.post(
    '/lists/:list_id/subscribers',
    {
      schema: {
        operationId: 'addSubscriber',
        summary: 'Add a subscriber',
        description:
          'Without the bypass flags, the number receives a text that asks for confirmation with YES, even on a single opt-in ' +
          'list. A rejected add returns 201 as well: the outcome is in `status`. A number that sent STOP to the short code of the ' +
          'list cannot be added to any of its lists during the wait (`resubscribe_timeout_hours`); after that, only both ' +
          'bypass flags together subscribe it, and any other add makes it pending without a text.',
        tags,
        params: Type.Object({ list_id: ListIdParam }),
        body: SubscriberAddBody,
        response: {
          200: Type.Unsafe<Static<typeof SubscriberAddedResponse>>({
            ...SubscriberAddedResponse,
            description: 'Already subscribed; nothing changed.',
          }),
          201: SubscriberAddedResponse,
          404: errorResponse('The account has no such list.'),
          422: errorResponse('The number cannot receive texts, or a value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const list = await readList(req.account.id, req.params.list_id)
      const { subscriber: body } = req.body
      const phone = parsePhoneNumber(body.phone_number)
      if (phone === undefined) throw errors.badPhone('must have ten digits, the first from 2 to 9')
      const fields = mayNameFields(body) ? await listCustomFields(rt.db, list.id) : []
      const added = await addSubscriber(rt, {
        list,
        phone,
        profile: await readProfile(body, fields),
        bypassProcess: isSet(body.bypass_opt_in_process),
        bypassResponse: isSet(body.bypass_opt_in_response),
        lookUp: await lookUpReachable(lookUp, phone, req.account.id),
        actor: `key:${req.apiKey.id}`,
        apiKeyId: req.apiKey.id,
      })
      const subscriber = presentSubscriber(added.subscriber, req.account.timeZone)
      return reply
        .code(added.outcome === 'already_subscribed' ? 200 : 201)
        .send({ status: addStatusOf(added), subscriber })
    },
  )

  app.delete(
    '/lists/:list_id/subscribers/:phone_number',
    {
      schema: {
        operationId: 'unsubscribeSubscriber',
        summary: 'Unsubscribe a subscriber',
        description:
          'After the response, no further text of the list is sent to the number. The record of the subscriber is kept. ' +
          'Also accepted for a deleted list.',
        tags,
        params: Type.Object({ list_id: ListIdParam, phone_number: PhoneParam }),
        response: {
          200: UnsubscribedResponse,
          404: errorResponse('The list has no such subscriber, or the account has no such list.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, phone_number: phone } = req.params
      const { id: accountId, timeZone } = req.account
      const list = await getListOrDeleted(rt.db, accountId, listId)
      const actor = `key:${req.apiKey.id}`
      const outcome = await optOut(rt, { accountId, listId: list.id, phone: phoneOfPath(phone), method: 'api', actor })
      const subscriber = outcome === 'unknown' ? undefined : await findSubscriber(rt.db, list.id, phoneOfPath(phone))
      if (!subscriber) {
        await getList(rt.db, accountId, listId)
        throw errors.subscriberNotFound()
      }
      return { status: 'successfully unsubscribed' as const, subscriber: presentSubscriber(subscriber, timeZone) }
    },
  )
}
