import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'
import { parseRateLimit, type RateLimit, SlidingCounter } from '../lib/rate-limit.ts'
import type { Caller } from './auth.ts'

export type RateLimitSetting = 'vendor' | 'default' | 'off'

/** The vendor's limit applies to a sliding hour and allows bursts; our default only stops a runaway client. */
const limits: Record<RateLimitSetting, RateLimit | 'off'> = {
  vendor: { calls: 1_200, windowMs: 3_600_000 },
  default: { calls: 50, windowMs: 1_000 },
  off: 'off',
}

const maxKeys = 10_000

/** Returns the limit of the keys that have no limit of their own. */
export function installationLimit(setting: RateLimitSetting): RateLimit | 'off' {
  return limits[setting]
}

/** Returns the key's own limit, if any; the sandbox's seeded key has no limit, unless the setting is `vendor`. */
function limitOf({ rateLimit, seeded }: Caller['apiKey'], setting: RateLimitSetting): RateLimit | 'off' {
  const own = rateLimit === null ? undefined : parseRateLimit(rateLimit)
  if (own !== undefined) return own
  return seeded && setting === 'default' ? 'off' : limits[setting]
}

/**
 * Responds 429 to a key that has used up its calls, and reports the remaining calls to every limited key. Each process
 * counts separately: n processes behind a load balancer allow up to n times the limit. Must be registered after `useAuth`.
 */
export function useRateLimit(app: FastifyInstance, setting: RateLimitSetting) {
  const counters = new Map<number, { limit: RateLimit; counter: SlidingCounter }>()
  app.addHook('onRequest', async (req, reply) => {
    const limit = limitOf(req.apiKey, setting)
    if (limit === 'off') return
    const counter = counterOf(counters, req.apiKey.id, limit)
    const now = performance.now()
    const waitMs = counter.take(now)
    const { calls, windowMs } = limit
    const seconds = Math.max(1, Math.ceil(counter.nextCallInMs(now) / 1_000))
    // draft-ietf-httpapi-ratelimit-headers-10
    reply.header('ratelimit-policy', `"key";q=${calls};w=${windowMs / 1_000}`)
    reply.header('ratelimit', `"key";r=${counter.left};t=${seconds}`)
    if (waitMs === 0) return
    // a number of seconds, because one client crashes on a date
    reply.header('retry-after', seconds)
    throw errors.rateLimited()
  })
}

/** Returns the key's counter, or a new one if its limit has changed. */
function counterOf(counters: Map<number, { limit: RateLimit; counter: SlidingCounter }>, id: number, limit: RateLimit) {
  const known = counters.get(id)
  if (known?.limit.calls === limit.calls && known.limit.windowMs === limit.windowMs) return known.counter
  if (counters.size >= maxKeys) counters.clear()
  const counter = new SlidingCounter(limit)
  counters.set(id, { limit, counter })
  return counter
}
