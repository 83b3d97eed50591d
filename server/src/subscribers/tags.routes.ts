import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { findUnreachable } from '../carriers/look-up.ts'
import { retryLostRaces } from '../db/retry.ts'
import { errors } from '../errors.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { changeTags } from './changes.queries.ts'
import { requestChange } from './changes.ts'
import { PhoneParam } from './subscribers.schema.ts'
import { phoneOfPath } from './subscribers.ts'
import { findSubscribedAmong, removeTags } from './tags.queries.ts'
import {
  AddTagsBody,
  BulkTaggingBody,
  BulkTaggingResponse,
  maxTags,
  presentBulkTagging,
  presentRemoval,
  readAddTags,
  readBulkTagging,
  readNamedTags,
  TagsAppliedResponse,
  TagsBody,
  TagsDeletedResponse,
  TagsRemovedResponse,
} from './tags.schema.ts'

const tags = ['Tags']
const params = Type.Object({ list_id: ListIdParam })
const notFound = errorResponse('No such list on this account.')
const unacceptable = errorResponse('No tags, or too many tags or numbers.')

export const tagRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.delete(
    '/lists/:list_id/subscribers/:phone_number/tags',
    {
      schema: {
        operationId: 'removeSubscriberTags',
        summary: 'Remove tags from a subscriber',
        description: 'Tags that the subscriber does not have are listed in the response; they are not an error.',
        tags,
        params: Type.Object({ list_id: ListIdParam, phone_number: PhoneParam }),
        body: TagsBody,
        response: {
          200: TagsRemovedResponse,
          404: errorResponse('No such subscriber, or no such list.'),
          422: unacceptable,
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const requested = readNamedTags(req.body.tags)
      const before = await removeTags(rt.db, list.id, phoneOfPath(req.params.phone_number), requested, rt.clock.now())
      if (!before) throw errors.subscriberNotFound()
      return presentRemoval(requested, before)
    },
  )

  app.post(
    '/lists/:list_id/bulk_taggings',
    {
      schema: {
        operationId: 'createBulkTagging',
        summary: 'Tag many subscribers',
        description:
          'The response lists the numbers that will be tagged. The tags change within a few seconds, after earlier changes.',
        tags,
        params,
        body: BulkTaggingBody,
        response: { 200: BulkTaggingResponse, 404: notFound, 422: unacceptable, ...commonErrors },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const tagging = readBulkTagging(req.body)
      const added = tagging.replace ? [] : tagging.tags
      const { phones, full } = await findSubscribedAmong(rt.db, list.id, tagging.numbers.phones, added, maxTags)
      if (full > 0) throw errors.tooManyTags()
      if (phones.length > 0) {
        const kind = tagging.replace ? ('replace_tags' as const) : ('add_tags' as const)
        const change = { accountId: req.account.id, listId: list.id, phones, kind, tags: tagging.tags }
        await requestChange(rt, change)
      }
      return presentBulkTagging(tagging, phones, await findUnreachable(rt, tagging.numbers.phones))
    },
  )

  app.delete(
    '/lists/:list_id/tags',
    {
      schema: {
        operationId: 'deleteListTags',
        summary: 'Remove tags from every subscriber of a list',
        description: 'Runs in the background, within ten minutes even for a large list.',
        tags,
        params,
        body: TagsBody,
        response: { 200: TagsDeletedResponse, 404: notFound, 422: unacceptable, ...commonErrors },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const change = {
        accountId: req.account.id,
        listId: list.id,
        phones: null,
        kind: 'remove_tags' as const,
        tags: readNamedTags(req.body.tags),
      }
      await requestChange(rt, change)
      return { status: 'Tags enqueued for deletion' as const }
    },
  )

  app.post(
    '/lists/:list_id/subscribers/add_tags',
    {
      schema: {
        operationId: 'addSubscriberTags',
        summary: 'Tag many subscribers (former version of bulk_taggings)',
        description: 'Numbers that are not on the list are skipped.',
        tags,
        params,
        body: AddTagsBody,
        response: { 200: TagsAppliedResponse, 404: notFound, 422: unacceptable, ...commonErrors },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const { numbers, tags: added } = readAddTags(req.body)
      await retryLostRaces(() =>
        changeTags(rt.db, list.id, numbers.phones, { kind: 'add_tags', tags: added }, rt.clock.now()),
      )
      return { status: 'Tags were applied' as const }
    },
  )
}
