import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListDestroyedResponse, ListIdParam } from '../../lists/lists.schema.ts'
import { deleteList } from './delete-list.ts'

// Deleting a list stops its messages, so this operation of lists belongs to messages.

export const deleteListRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.delete(
    '/lists/:list_id',
    {
      schema: {
        operationId: 'deleteList',
        summary: 'Delete a list',
        description:
          'Its keywords become free for other lists, and its messages that are scheduled or being sent are cancelled: ' +
          'responds when no more texts of them are sent. Its subscribers and messages are kept but can no longer be ' +
          'requested; only unsubscribing a number is still possible.',
        tags: ['Lists'],
        params: Type.Object({ list_id: ListIdParam }),
        response: {
          200: ListDestroyedResponse,
          404: errorResponse('No such list on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      await deleteList(rt, req.account.id, req.params.list_id)
      return { status: 'List Destroyed' as const }
    },
  )
}
