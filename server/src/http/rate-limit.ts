import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'
import { parseRateLimit, type RateLimit, SlidingCounter } from '../lib/rate-limit.ts'
import type { Caller } from './auth.ts'

export type RateLimitSetting = 'vendor' | 'default' | 'off'

/** The vendor's limit applies to a sliding hour and allows bursts; our default only stops a runaway client. */
const limits: Record<RateLimitSetting, string> = { vendor: '1200/3600', default: '50/1', off: 'off' }

const maxCounters = 10_000

/** Returns the limit of the keys for which the operator has set no limit. */
export function installationLimit(setting: RateLimitSetting): RateLimit | 'off' {
  return parseRateLimit(limits[setting]) ?? 'off'
}

/** The limits that apply to a call, as `calls/seconds` or `off`. */
type Limits = {
  /** The limit that the account chose for the key. */
  own: string
  /** The limit that binds the key, and the keys that it created. */
  binding: string
  account: string
}

/** Returns the limits of a call; the sandbox's seeded key has none of its own, unless the setting is `vendor`. */
function limitsOf({ apiKey, account }: Caller, setting: RateLimitSetting, accountLimit: string): Limits {
  const isFree = setting === 'off' || (apiKey.seeded && setting === 'default')
  return {
    own: apiKey.rateLimit ?? 'off',
    binding: apiKey.operatorRateLimit ?? (isFree ? 'off' : limits[setting]),
    account: account.rateLimit ?? (isFree ? 'off' : accountLimit),
  }
}

/**
 * Responds 429 to a call above a limit, and reports the remaining calls of every limited key. A rejected call counts
 * nowhere. What the account can change has counters of its own: neither a new limit nor a new key resets the counters of
 * the operator's limits. Each process counts separately: n processes behind a load balancer allow up to n times the
 * limit. Must be registered after `useAuth`.
 */
export function useRateLimit(app: FastifyInstance, setting: RateLimitSetting, accountLimit: string) {
  const [own, binding, accounts] = [new Counters(), new Counters(), new Counters()]
  app.addHook('onRequest', async (req, reply) => {
    const limits = limitsOf(req, setting, accountLimit)
    if (limits.own === 'off' && limits.binding === 'off' && limits.account === 'off') return
    const counters = [
      limits.own === 'off' ? undefined : own.of(req.apiKey.id, limits.own),
      limits.binding === 'off' ? undefined : binding.of(req.apiKey.limitedKeyId, limits.binding),
      limits.account === 'off' ? undefined : accounts.of(req.account.id, limits.account),
    ] as const
    const now = performance.now()
    let waitMs = 0
    for (const counter of counters) if (counter) waitMs = Math.max(waitMs, counter.waitMs(now))
    if (waitMs === 0) for (const counter of counters) counter?.take(now)
    const [ofKey, bindingKey, ofAccount] = counters
    const key = ofKey ?? bindingKey
    const policies: string[] = []
    const remaining: string[] = []
    if (key) {
      const left = Math.min(key.left, bindingKey?.left ?? key.left)
      policies.push(policyOf('key', key))
      remaining.push(`"key";r=${left};t=${secondsOf(key.nextCallInMs(now))}`)
    }
    if (ofAccount) {
      policies.push(policyOf('account', ofAccount))
      remaining.push(`"account";r=${ofAccount.left};t=${secondsOf(ofAccount.nextCallInMs(now))}`)
    }
    // draft-ietf-httpapi-ratelimit-headers-10
    if (policies.length > 0) {
      reply.header('ratelimit-policy', policies.join(', '))
      reply.header('ratelimit', remaining.join(', '))
    }
    if (waitMs === 0) return
    // a number of seconds, because one client crashes on a date
    reply.header('retry-after', secondsOf(waitMs))
    throw errors.rateLimited()
  })
}

const policyOf = (name: string, { limit: { calls, windowMs } }: SlidingCounter) =>
  `"${name}";q=${calls};w=${windowMs / 1_000}`

const secondsOf = (ms: number) => Math.max(1, Math.ceil(ms / 1_000))

/** The counters of keys or accounts. */
class Counters {
  readonly #byId = new Map<number, { text: string; counter: SlidingCounter }>()

  /** Returns the counter of an id, a new one if its limit has changed; undefined if the limit cannot be parsed. */
  of(id: number, text: string): SlidingCounter | undefined {
    const known = this.#byId.get(id)
    if (known?.text === text) return known.counter
    const limit = parseRateLimit(text)
    if (limit === undefined || limit === 'off') return undefined
    // the one that was added first, and no other: a caller with many keys must not reset the counters of others
    if (known === undefined && this.#byId.size >= maxCounters) this.#byId.delete(this.#byId.keys().next().value ?? id)
    const counter = new SlidingCounter(limit)
    this.#byId.set(id, { text, counter })
    return counter
  }
}
