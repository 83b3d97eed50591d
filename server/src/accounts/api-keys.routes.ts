import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { installationLimit } from '../http/rate-limit.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
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
  type KeyHolder,
  removeApiKey,
} from './api-keys.ts'

const common = { tags: ['API keys'], 'x-extension': true }
const params = Type.Object({ api_key_id: ApiKeyIdParam })
const notFound = errorResponse('No such key on this account.')
const itself = errorResponse('A key cannot disable or revoke itself.')

export const apiKeyRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const bound = installationLimit(rt.config.rateLimit)

  app.get(
    '/api_keys',
    {
      schema: {
        operationId: 'listApiKeys',
        summary: 'List the API keys of the account, oldest first',
        description: '`last_used_at` is exact to a minute. Revoked keys are not shown.',
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
        summary: 'Make an API key',
        description: 'The answer is the only place where the key itself is ever shown.',
        ...common,
        body: ApiKeyCreateBody,
        response: {
          201: Type.Object({ status: Type.Literal('API key created'), api_key: NewApiKeySchema }),
          422: errorResponse('A value is not acceptable.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const { name, scope = 'full', rate_limit } = req.body.api_key
      const rateLimit = readRateLimit(rate_limit, bound) ?? null
      const { key, ...made } = await createApiKey(rt.db, {
        accountId: req.account.id,
        name,
        scope,
        rateLimit,
        sandbox: rt.config.mode === 'sandbox',
        now: rt.clock.now(),
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
        summary: "Change a key's name or rate limit",
        ...common,
        params,
        body: ApiKeyUpdateBody,
        response: {
          200: Type.Object({ status: Type.Literal('OK'), api_key: ApiKeySchema }),
          404: notFound,
          422: errorResponse('A value is not acceptable.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { name, rate_limit } = req.body.api_key
      const change = { name, rateLimit: readRateLimit(rate_limit, bound) }
      const key = await changeApiKey(rt, holderOf(req), req.params.api_key_id, change)
      return { status: 'OK' as const, api_key: present(req, key) }
    },
  )

  app.post(
    '/api_keys/:api_key_id/disable',
    {
      schema: {
        operationId: 'disableApiKey',
        summary: 'Shut a key out until it is enabled again',
        description: 'In force with the answer. The key of this very request is refused.',
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
      const key = await disableApiKey(rt, holderOf(req), req.params.api_key_id)
      return { status: 'API key disabled' as const, api_key: present(req, key) }
    },
  )

  app.post(
    '/api_keys/:api_key_id/enable',
    {
      schema: {
        operationId: 'enableApiKey',
        summary: 'Let a disabled key in again',
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
      const key = await enableApiKey(rt, holderOf(req), req.params.api_key_id)
      return { status: 'API key enabled' as const, api_key: present(req, key) }
    },
  )

  app.delete(
    '/api_keys/:api_key_id',
    {
      schema: {
        operationId: 'revokeApiKey',
        summary: 'Revoke a key for ever',
        description: 'In force with the answer. The key of this very request is refused.',
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
      await removeApiKey(rt, holderOf(req), req.params.api_key_id)
      return { status: 'API key revoked' as const }
    },
  )
}

function holderOf(req: FastifyRequest): KeyHolder {
  return { accountId: req.account.id, keyId: req.apiKey.id }
}

function present(req: FastifyRequest, key: Parameters<typeof presentApiKey>[0]) {
  return presentApiKey(key, req.apiKey.id, req.account.timeZone)
}
