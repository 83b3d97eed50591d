import type { Runtime } from '../runtime.ts'
import { markKeysUsed } from './api-keys.queries.ts'

const leastAgeMs = 60_000
const pauseMs = 1_000
const maxKeys = 10_000

/** Remembers which keys are in use, and writes that down beside the requests, at most once a minute per key. */
export class KeyUse {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #notedAt = new Map<number, number>()
  readonly #waiting = new Set<number>()
  #timer: NodeJS.Timeout | undefined

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>) {
    this.#rt = rt
  }

  /** A request with this key came. */
  note(keyId: number): void {
    const now = this.#rt.clock.now().getTime()
    const noted = this.#notedAt.get(keyId)
    if (noted !== undefined && Math.abs(now - noted) < leastAgeMs) return
    if (this.#notedAt.size >= maxKeys) this.#notedAt.clear()
    this.#notedAt.set(keyId, now)
    this.#waiting.add(keyId)
    this.#timer ??= setTimeout(() => void this.flush(), pauseMs).unref()
  }

  /** Writes down what waits. A database that is away loses a minute of it, and no request. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const ids = [...this.#waiting]
    if (ids.length === 0) return
    this.#waiting.clear()
    try {
      await markKeysUsed(this.#rt.db, ids, this.#rt.clock.now())
    } catch (error) {
      this.#rt.log.debug({ err: error }, 'could not note which keys are in use')
    }
  }
}
