import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { slicePage } from '../lib/paging.ts'
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
  readConnectionChange,
} from './connections.schema.ts'
import { openConnection, problemOf } from './connections.ts'
import { probe } from './probe.ts'

const common = { tags: ['Connections'], 'x-extension': true }
const params = Type.Object({ connection_id: ConnectionIdParam })
const notFound = errorResponse('No such connection, or the account is not an operator.')
const notAnOperator = errorResponse('The account is not an operator.')
const unacceptable = errorResponse('A value is not acceptable.')

/** The connections of the installation; to all but operators they are not there. */
export const connectionRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  useOperatorsOnly(app)

  const present = async (req: FastifyRequest, rows: ConnectionRow[]) => {
    const slots = await listBindSlots(
      rt.db,
      rows.map(({ id }) => id),
    )
    return rows.map((row) => {
      const binds = slots.filter(({ connectionId }) => connectionId === row.id)
      return presentConnection(row, { binds, problem: problemOf(row, rt.config) }, req.account.timeZone)
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
        description: 'Connections belong to the installation: operators see all of them, other accounts none.',
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
        description: 'Gateways bind to it at once, unless it is created with `enabled` false.',
        ...common,
        body: ConnectionCreateBody,
        response: { 201: ConnectionCreated, 404: notAnOperator, 422: unacceptable, ...commonErrors },
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
        summary: 'Show a connection, and how its binds are',
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
        summary: 'Change a connection',
        description:
          'Gateways follow within a second. A new address, bind type or credential means new binds; the old ones finish what is on its way.',
        ...common,
        params,
        body: ConnectionUpdateBody,
        response: { 200: ConnectionUpdated, 404: notFound, 422: unacceptable, ...commonErrors },
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
        summary: 'Delete a connection that has never carried anything',
        description: 'It has to be disabled first. One that has carried texts is named by their records and stays.',
        ...common,
        params,
        response: { 200: ConnectionRemoved, 404: notFound, 422: errorResponse('It is in use.'), ...commonErrors },
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
        summary: 'Bind, enquire and unbind, and say why not',
        description:
          'With a bind of its own, beside those of the gateways, and in ten seconds at most. Nothing is sent, and a text that the SMSC delivers meanwhile is put off.',
        ...common,
        params,
        response: {
          200: ConnectionTested,
          404: notFound,
          422: errorResponse('It cannot be used as it is.'),
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
