import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { slicePage } from '../lib/paging.ts'
import { findAlarms } from './alarms.ts'
import { changeConnection, createConnection, removeConnection } from './changes.ts'
import { type ConnectionRow, findConnection, listBindSlots, listConnections } from './connections.queries.ts'
import {
  ConnectionCreateBody,
  ConnectionCreated,
  ConnectionIdParam,
  ConnectionPage,
  ConnectionRemoved,
  ConnectionResponse,
  ConnectionTested,
  ConnectionUpdateBody,
  ConnectionUpdated,
  presentConnection,
  presentTest,
} from './connections.schema.ts'
import { openConnection, problemOf } from './connections.ts'
import { probe } from './probe.ts'
import { readConnectionChange } from './settings.schema.ts'

const common = { tags: ['Connections'], 'x-extension': true }
const params = Type.Object({ connection_id: ConnectionIdParam })
const notFound = errorResponse('The connection does not exist, or the account is not an operator.')
const notAnOperator = errorResponse('The account is not an operator.')
const invalid = errorResponse('A value is invalid.')

/** The connections of the installation; accounts that are not operators get a 404. */
export const connectionRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  useOperatorsOnly(app)

  const present = async (req: FastifyRequest, rows: ConnectionRow[]) => {
    const ids = rows.map(({ id }) => id)
    const slots = await listBindSlots(rt.db, ids)
    const all = await findAlarms(rt.db, ids, rt.clock.now())
    return rows.map((row) => {
      const binds = slots.filter(({ connectionId }) => connectionId === row.id)
      const alarms = all.filter(({ connectionId }) => connectionId === row.id)
      return presentConnection(row, { binds, alarms, problem: problemOf(row, rt.config) }, req.account.timeZone)
    })
  }
  const presentOne = async (req: FastifyRequest, row: ConnectionRow) => {
    const [presented] = await present(req, [row])
    if (!presented) throw errors.connectionNotFound()
    return presented
  }

  app.get(
    '/connections',
    {
      schema: {
        operationId: 'listConnections',
        summary: 'List the connections, oldest first',
        description: 'Connections belong to the installation; accounts that are not operators get a 404.',
        ...common,
        querystring: PageQuery,
        response: { 200: ConnectionPage, 404: notAnOperator, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const { count, records } = slicePage(await listConnections(rt.db), page)
      const presented = await present(req, records)
      return presentPage('connections', page, { count, records: presented }, (connection) => connection)
    },
  )

  app.post(
    '/connections',
    {
      schema: {
        operationId: 'createConnection',
        summary: 'Create a connection',
        description: 'Gateways bind to the new connection immediately, unless `enabled` is false.',
        ...common,
        body: ConnectionCreateBody,
        response: { 201: ConnectionCreated, 404: notAnOperator, 422: invalid, ...commonErrors },
      },
    },
    async (req, reply) => {
      const { name, host } = req.body.connection
      const row = await createConnection(rt, { ...readConnectionChange(req.body.connection), name, host })
      reply.code(201)
      return { status: 'Connection created' as const, connection: await presentOne(req, row) }
    },
  )

  app.get(
    '/connections/:connection_id',
    {
      schema: {
        operationId: 'getConnection',
        summary: 'Get a connection and the state of its binds',
        description: 'The settings without secrets, and the state of each bind as the gateways last reported it.',
        ...common,
        params,
        response: { 200: ConnectionResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const row = await findConnection(rt.db, req.params.connection_id)
      if (!row) throw errors.connectionNotFound()
      return { status: 'OK' as const, connection: await presentOne(req, row) }
    },
  )

  app.put(
    '/connections/:connection_id',
    {
      schema: {
        operationId: 'updateConnection',
        summary: 'Update a connection',
        description:
          'Gateways apply the change within a second. After a change of the address, bind type or credentials, they open new binds, and close the old ones when all their submitted texts have a response.',
        ...common,
        params,
        body: ConnectionUpdateBody,
        response: { 200: ConnectionUpdated, 404: notFound, 422: invalid, ...commonErrors },
      },
    },
    async (req) => {
      const row = await changeConnection(rt, req.params.connection_id, readConnectionChange(req.body.connection))
      return { status: 'Connection updated' as const, connection: await presentOne(req, row) }
    },
  )

  app.delete(
    '/connections/:connection_id',
    {
      schema: {
        operationId: 'deleteConnection',
        summary: 'Delete a connection without traffic',
        description:
          'The connection must be disabled. A connection that has sent or received texts cannot be deleted, because their rows refer to it.',
        ...common,
        params,
        response: {
          200: ConnectionRemoved,
          404: notFound,
          422: errorResponse('The connection is in use.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      await removeConnection(rt, req.params.connection_id)
      return { status: 'Connection destroyed' as const }
    },
  )

  app.post(
    '/connections/:connection_id/test',
    {
      schema: {
        operationId: 'testConnection',
        summary: 'Test a connection: bind, enquire_link and unbind',
        description:
          'The test opens its own bind in addition to the binds of the gateways and takes at most ten seconds. It sends no text; it temporarily rejects a text that the SMSC delivers during the test, so that the SMSC delivers it again.',
        ...common,
        params,
        response: {
          200: ConnectionTested,
          404: notFound,
          422: errorResponse('The connection has a problem that prevents its use.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const row = await findConnection(rt.db, req.params.connection_id)
      if (!row) throw errors.connectionNotFound()
      const problem = problemOf(row, rt.config)
      if (problem !== null) throw errors.connectionUnusable(problem)
      const binds = await listBindSlots(rt.db, [row.id])
      const ownBinds = binds.filter(({ bound }) => bound).length
      return { status: 'OK' as const, test: presentTest(await probe(openConnection(row, rt.config), { ownBinds })) }
    },
  )
}
