import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { installationLimit } from '../http/rate-limit.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { countApiKeys, findBindingLimit } from './api-keys.queries.ts'
import {
  ApiKeyCreateBody,
  ApiKeyIdParam,
  ApiKeyPage,
  ApiKeySchema,
  ApiKeyUpdateBody,
  NewApiKeySchema,
  presentApiKey,
  readRateLimit,
} from './api-keys.schema.ts'
import {
  changeApiKey,
  createApiKey,
  disableApiKey,
  enableApiKey,
  getApiKeyPage,
  type KeyActor,
  removeApiKey,
} from './api-keys.ts'
import { rejectAtCap } from './caps.ts'

const common = { tags: ['API keys'], 'x-extension': true }
const params = Type.Object({ api_key_id: ApiKeyIdParam })
const notFound = errorResponse('No such key on this account.')
const itself = errorResponse('A key cannot disable or revoke itself.')

export const apiKeyRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const installation = installationLimit(rt.config.rateLimit)

  app.get(
    '/api_keys',
    {
      schema: {
        operationId: 'listApiKeys',
        summary: 'List the API keys of the account, oldest first',
        description: '`last_used_at` is accurate to a minute. Revoked keys are not listed.',
        ...common,
        querystring: PageQuery,
        response: { 200: ApiKeyPage, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getApiKeyPage(rt.db, req.account.id, page)
      return presentPage('api_keys', page, found, (key) => present(req, key))
    },
  )

  app.post(
    '/api_keys',
    {
      config: { secrets: ['api_key.key'] },
      schema: {
        operationId: 'createApiKey',
        summary: 'Create an API key',
        description:
          'The key itself is shown in this response only. If the operator has limited the calling key, the calls of the ' +
          'new key are counted together with its calls.',
        ...common,
        body: ApiKeyCreateBody,
        response: {
          201: Type.Object({ status: Type.Literal('API key created'), api_key: NewApiKeySchema }),
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const { name, scope = 'full', rate_limit } = req.body.api_key
      const { operatorRateLimit, limitedKeyId } = req.apiKey
      const rateLimit = readRateLimit(rate_limit, operatorRateLimit, installation) ?? null
      const accountId = req.account.id
      const { key, ...made } = await rt.db.tx(async (tx) => {
        await rejectAtCap(tx, rt, { name: 'api_keys', accountId }, () => countApiKeys(tx, accountId))
        return createApiKey(tx, {
          accountId,
          name,
          scope,
          rateLimit,
          limitedBy: operatorRateLimit === null ? null : limitedKeyId,
          sandbox: rt.config.mode === 'sandbox',
          now: rt.clock.now(),
        })
      })
      reply.code(201)
      return { status: 'API key created' as const, api_key: { ...present(req, made), key } }
    },
  )

  app.put(
    '/api_keys/:api_key_id',
    {
      schema: {
        operationId: 'updateApiKey',
        summary: 'Update the name or the rate limit of an API key',
        description: 'Only the keys in the request change. The scope of a key cannot be changed.',
        ...common,
        params,
        body: ApiKeyUpdateBody,
        response: {
          200: Type.Object({ status: Type.Literal('OK'), api_key: ApiKeySchema }),
          404: notFound,
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { name, rate_limit } = req.body.api_key
      const id = req.params.api_key_id
      const operatorLimit = await findBindingLimit(rt.db, req.account.id, id)
      const change = { name, rateLimit: readRateLimit(rate_limit, operatorLimit, installation) }
      const key = await changeApiKey(rt, actorOf(req), id, change)
      return { status: 'OK' as const, api_key: present(req, key) }
    },
  )

  app.post(
    '/api_keys/:api_key_id/disable',
    {
      schema: {
        operationId: 'disableApiKey',
        summary: 'Disable an API key until it is enabled again',
        description: 'Takes effect before the response is sent. A key cannot disable or revoke itself.',
        ...common,
        params,
        response: {
          200: Type.Object({ status: Type.Literal('API key disabled'), api_key: ApiKeySchema }),
          404: notFound,
          422: itself,
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const key = await disableApiKey(rt, actorOf(req), req.params.api_key_id)
      return { status: 'API key disabled' as const, api_key: present(req, key) }
    },
  )

  app.post(
    '/api_keys/:api_key_id/enable',
    {
      schema: {
        operationId: 'enableApiKey',
        summary: 'Enable a disabled API key',
        description: 'The key can be used again immediately. An enabled key does not change.',
        ...common,
        params,
        response: {
          200: Type.Object({ status: Type.Literal('API key enabled'), api_key: ApiKeySchema }),
          404: notFound,
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const key = await enableApiKey(rt, actorOf(req), req.params.api_key_id)
      return { status: 'API key enabled' as const, api_key: present(req, key) }
    },
  )

  app.delete(
    '/api_keys/:api_key_id',
    {
      schema: {
        operationId: 'revokeApiKey',
        summary: 'Revoke an API key permanently',
        description: 'Takes effect before the response is sent. A key cannot disable or revoke itself.',
        ...common,
        params,
        response: {
          200: Type.Object({ status: Type.Literal('API key revoked') }),
          404: notFound,
          422: itself,
          ...commonErrors,
        },
      },
    },
    async (req) => {
      await removeApiKey(rt, actorOf(req), req.params.api_key_id)
      return { status: 'API key revoked' as const }
    },
  )
}

function actorOf(req: FastifyRequest): KeyActor {
  return { accountId: req.account.id, keyId: req.apiKey.id }
}

function present(req: FastifyRequest, key: Parameters<typeof presentApiKey>[0]) {
  return presentApiKey(key, req.apiKey.id, req.account.timeZone)
}
