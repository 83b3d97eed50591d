import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Id, TextOrNull, Time, TimeOrNull } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { isWithin, parseRateLimit, type RateLimit, rateLimitFormat } from '../lib/rate-limit.ts'
import type { ApiKey } from './api-keys.queries.ts'

const Name = Type.String({ maxLength: 100, pattern: '\\S', description: 'Purpose of the key.' })

const RateLimitText = TextOrNull({
  maxLength: 20,
  description: `Rate limit of this key: ${rateLimitFormat}; at most the operator's limit of this key or else of the installation, which applies when null.`,
})

const ScopeName = Type.Unsafe<'full' | 'read' | 'send'>({
  type: 'string',
  enum: ['full', 'read', 'send'],
  description: '`read` allows reading; `send` allows reading and sending messages; `full` allows everything.',
})

export const ApiKeyCreateBody = Type.Object({
  api_key: Type.Object(
    {
      name: Name,
      scope: Type.Optional(ScopeName),
      rate_limit: Type.Optional(RateLimitText),
    },
    { title: 'ApiKeyCreation' },
  ),
})

export const ApiKeyUpdateBody = Type.Object({
  api_key: Type.Object(
    { name: Type.Optional(Name), rate_limit: Type.Optional(RateLimitText) },
    { title: 'ApiKeyChange', description: 'Absent fields do not change.' },
  ),
})

const fields = {
  id: Id('Id of the key.'),
  name: Type.String(),
  scope: ScopeName,
  prefix: TextOrNull({ description: 'First characters of the key; null for a short key.' }),
  rate_limit: RateLimitText,
  is_current: Type.Boolean({ description: 'Whether this key authenticated the request.' }),
  created_at: Time,
  last_used_at: TimeOrNull,
  disabled_at: TimeOrNull,
}

/** The id of an API key in a path. */
export const ApiKeyIdParam = idParam('Id of the key.', errors.apiKeyNotFound)

export const ApiKeySchema = Type.Object(fields, { title: 'ApiKey' })

export const NewApiKeySchema = Type.Object(
  { ...fields, key: TextOrNull({ description: 'The key itself; shown in this response only.' }) },
  { title: 'CreatedApiKey' },
)

export const ApiKeyPage = pageSchema('api_keys', ApiKeySchema)

/** Returns a key as the API presents it, without the key itself, which is not stored. */
export function presentApiKey(key: ApiKey, current: number, timeZone: string): Static<typeof ApiKeySchema> {
  return {
    id: key.id,
    name: key.name,
    scope: key.scope,
    prefix: key.prefix.startsWith('sha256:') ? null : key.prefix,
    rate_limit: key.rateLimit,
    is_current: key.id === current,
    created_at: formatTime(key.createdAt, timeZone),
    last_used_at: formatTime(key.lastUsedAt, timeZone),
    disabled_at: formatTime(key.disabledAt, timeZone),
  }
}

/**
 * Returns the rate limit unchanged; throws a 422 if it is malformed, or above the operator's limit of the key
 * (`operatorLimit`) or, without one, above the limit of the installation.
 */
export function readRateLimit(
  text: string | null | undefined,
  operatorLimit: string | null,
  installation: RateLimit | 'off',
): string | null | undefined {
  if (text === undefined || text === null) return text
  const ofOperator = operatorLimit === null ? undefined : parseRateLimit(operatorLimit)
  const bound = ofOperator ?? installation
  const limit = parseRateLimit(text)
  const field = 'api_key.rate_limit'
  if (limit === undefined) throw errors.invalid({ [field]: [`must be ${rateLimitFormat}`] })
  if (!isWithin(limit, bound) && bound !== 'off') {
    throw errors.invalid({
      [field]: [
        `is above the limit of ${ofOperator ? 'the operator' : 'the installation'}, ${bound.calls} calls in ${bound.windowMs / 1_000} s`,
      ],
    })
  }
  return text
}
