import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import {
  KeywordsBody,
  KeywordsResponse,
  ListCreateBody,
  ListCreatedResponse,
  ListIdParam,
  ListPage,
  ListResponse,
  ListUpdateBody,
  presentList,
  readListChange,
  readNewList,
} from './lists.schema.ts'
import { changeKeywords, changeList, createList, getListPage, getListView } from './lists.ts'

const tags = ['Lists']
const params = Type.Object({ list_id: ListIdParam })
const notFound = errorResponse('No such list on this account.')

export const listRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists',
    {
      schema: {
        operationId: 'listLists',
        summary: 'List the lists of the account',
        description: 'In the order of their creation, with the number of subscribers in each state.',
        tags,
        querystring: PageQuery,
        response: { 200: ListPage, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getListPage(rt.db, req.account.id, page)
      return presentPage('lists', page, found, (list) => presentList(list, req.account.timeZone))
    },
  )

  app.post(
    '/lists',
    {
      schema: {
        operationId: 'createList',
        summary: 'Create a list',
        description:
          'A list needs only a name. It sends from the first short code of the account, unless `short_code` names another one.',
        tags,
        body: ListCreateBody,
        response: {
          200: ListCreatedResponse,
          422: errorResponse('A keyword is taken, or a value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list: body } = req.body
      const list = await createList(rt, req.account.id, readNewList(body), body.keyword_names ?? [], body.short_code)
      return { status: 'List created' as const, list: presentList(list, req.account.timeZone) }
    },
  )

  app.get(
    '/lists/:list_id',
    {
      schema: {
        operationId: 'getList',
        summary: 'Get a list',
        description: 'All settings of the list, its keywords, and the number of subscribers in each state.',
        tags,
        params,
        response: { 200: ListResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const list = await getListView(rt.db, req.account.id, req.params.list_id)
      return { status: 'OK' as const, list: presentList(list, req.account.timeZone) }
    },
  )

  app.put(
    '/lists/:list_id',
    {
      schema: {
        operationId: 'updateList',
        summary: 'Update a list',
        description: 'Only the keys in the request change. Keywords and the opt-in type have their own operations.',
        tags,
        params,
        body: ListUpdateBody,
        response: {
          200: ListResponse,
          404: notFound,
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list: body } = req.body
      const { id: accountId } = req.account
      const list = await changeList(rt, accountId, req.params.list_id, readListChange(body), body.short_code)
      return { status: 'OK' as const, list: presentList(list, req.account.timeZone) }
    },
  )

  app.put(
    '/lists/:list_id/keywords',
    {
      schema: {
        operationId: 'setKeywords',
        summary: 'Set the keywords of a list',
        description: 'Replaces all keywords of the list. Omitted words become free for other lists.',
        tags,
        params,
        body: KeywordsBody,
        response: {
          200: KeywordsResponse,
          404: notFound,
          422: errorResponse('A keyword is taken or not allowed; the keywords of the list do not change.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId } = req.params
      const keyword_names = await changeKeywords(rt, req.account.id, listId, req.body.keyword_names)
      return { status: 'Keywords changed' as const, keyword_names }
    },
  )
}
