import type { Runtime } from '../runtime.ts'
import { markKeysUsed } from './api-keys.queries.ts'

const recordIntervalMs = 60_000
const flushDelayMs = 1_000
const maxKeys = 10_000

/** Stores when each key was last used: outside of the requests, and at most once a minute per key. */
export class KeyUse {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #recordedAt = new Map<number, number>()
  readonly #waiting = new Set<number>()
  #timer: NodeJS.Timeout | undefined

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>) {
    this.#rt = rt
  }

  /** Must be called for each request with this key. */
  record(keyId: number): void {
    const now = this.#rt.clock.now().getTime()
    const recordedAt = this.#recordedAt.get(keyId)
    if (recordedAt !== undefined && Math.abs(now - recordedAt) < recordIntervalMs) return
    if (this.#recordedAt.size >= maxKeys) this.#recordedAt.clear()
    this.#recordedAt.set(keyId, now)
    this.#waiting.add(keyId)
    this.#timer ??= setTimeout(() => void this.flush(), flushDelayMs).unref()
  }

  /** Stores the recorded uses. If the database is unavailable, up to a minute of them is lost, and no request fails. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const ids = [...this.#waiting]
    if (ids.length === 0) return
    this.#waiting.clear()
    try {
      await markKeysUsed(this.#rt.db, ids, this.#rt.clock.now())
    } catch (error) {
      this.#rt.log.debug({ err: error }, 'failed to store when API keys were last used')
    }
  }
}
