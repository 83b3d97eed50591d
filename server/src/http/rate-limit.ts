import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'

export type RateLimit = { calls: number; windowMs: number }

/** The vendor's figure holds over a sliding hour and lets bursts pass; ours only keeps a runaway client off. */
const limits: Record<'vendor' | 'default', RateLimit> = {
  vendor: { calls: 1_200, windowMs: 3_600_000 },
  default: { calls: 50, windowMs: 1_000 },
}

const maxKeys = 10_000

/** Answers 429 to a key that has used up its calls; the sandbox's own key has no limit. Comes after `useAuth`. */
export function useRateLimit(app: FastifyInstance, setting: 'vendor' | 'default' | 'off') {
  if (setting === 'off') return
  const limit = limits[setting]
  const counters = new Map<number, SlidingCounter>()
  app.addHook('onRequest', async (req, reply) => {
    if (req.apiKey.sandbox) return
    let counter = counters.get(req.apiKey.id)
    if (!counter) {
      if (counters.size >= maxKeys) counters.clear()
      counter = new SlidingCounter(limit)
      counters.set(req.apiKey.id, counter)
    }
    const waitMs = counter.take(performance.now())
    if (waitMs === 0) return
    // a whole number: one client crashes on a date
    reply.header('retry-after', Math.ceil(waitMs / 1_000))
    throw errors.rateLimited()
  })
}

const slotCount = 60

/** Counts calls in a sliding window of sixty slots: exact to one slot, and no larger for a busy key. */
export class SlidingCounter {
  readonly #limit: RateLimit
  readonly #slotMs: number
  readonly #counts: number[] = Array(slotCount).fill(0)
  #newest = 0
  #sum = 0

  constructor(limit: RateLimit) {
    this.#limit = limit
    this.#slotMs = limit.windowMs / slotCount
  }

  /** Takes one call and answers 0, or answers in how many milliseconds the next one is free. */
  take(nowMs: number): number {
    const slot = Math.floor(nowMs / this.#slotMs)
    this.#forget(slot)
    if (this.#sum >= this.#limit.calls) return this.#waitMs(nowMs)
    this.#counts[slot % slotCount] = (this.#counts[slot % slotCount] ?? 0) + 1
    this.#sum += 1
    return 0
  }

  #forget(slot: number) {
    const gone = Math.min(slot - this.#newest, slotCount)
    for (let i = 1; i <= gone; i += 1) {
      const index = (this.#newest + i) % slotCount
      this.#sum -= this.#counts[index] ?? 0
      this.#counts[index] = 0
    }
    this.#newest = Math.max(slot, this.#newest)
  }

  #waitMs(nowMs: number): number {
    for (let age = slotCount - 1; age >= 0; age -= 1) {
      const slot = this.#newest - age
      if (slot >= 0 && this.#counts[slot % slotCount]) return (slot + slotCount) * this.#slotMs - nowMs
    }
    return this.#slotMs
  }
}
