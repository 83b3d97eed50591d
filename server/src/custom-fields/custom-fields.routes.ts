import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { listCustomFields } from './custom-fields.queries.ts'
import {
  CustomFieldCreateBody,
  CustomFieldDeleteBody,
  CustomFieldDeletedResponse,
  CustomFieldResponse,
  CustomFieldsResponse,
  presentCustomField,
  presentCustomFieldDetail,
  readNewField,
} from './custom-fields.schema.ts'
import { createCustomField, removeCustomField } from './custom-fields.ts'

const tags = ['Custom fields']
const params = Type.Object({ list_id: ListIdParam })
const notFound = errorResponse('The account has no such list.')

export const customFieldRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/custom_fields',
    {
      schema: {
        operationId: 'listCustomFields',
        summary: 'List the custom fields of a list',
        description: 'All custom fields, in the order of their creation.',
        tags,
        params,
        response: { 200: CustomFieldsResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const fields = await listCustomFields(rt.db, list.id)
      return { status: 'OK' as const, custom_fields: fields.map(presentCustomField) }
    },
  )

  const creations = [
    { path: 'custom_fields', operationId: 'createCustomField', summary: 'Create a custom field' },
    {
      path: 'custom_field',
      operationId: 'createCustomFieldSingular',
      summary: 'Create a custom field (alternative path in some vendor documentation)',
    },
  ]
  for (const { path, operationId, summary } of creations) {
    app.post(
      `/lists/:list_id/${path}`,
      {
        schema: {
          operationId,
          summary,
          description:
            'Every subscriber of the list has this key from then on, with the default value until it gets its own.',
          tags,
          params,
          body: CustomFieldCreateBody,
          response: {
            201: CustomFieldResponse,
            404: notFound,
            422: errorResponse('The key or the label is taken, or a value is invalid.'),
            ...commonErrors,
          },
        },
      },
      async (req, reply) => {
        const field = await createCustomField(rt, req.account.id, req.params.list_id, readNewField(req.body))
        reply.code(201)
        return { status: 'OK' as const, custom_field: presentCustomFieldDetail(field, req.account.timeZone) }
      },
    )
  }

  app.delete(
    '/lists/:list_id/custom_fields',
    {
      schema: {
        operationId: 'deleteCustomField',
        summary: 'Delete a custom field',
        description:
          'The key disappears from subscribers. Their values remain stored: a new field with the same key and type restores ' +
          'them.',
        tags,
        params,
        body: CustomFieldDeleteBody,
        response: {
          200: CustomFieldDeletedResponse,
          404: errorResponse('The list has no such field, or the account has no such list.'),
          422: errorResponse('The key is missing.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      await removeCustomField(rt, req.account.id, req.params.list_id, req.body.key)
      return { status: 'Custom field successfully deleted' as const }
    },
  )
}
