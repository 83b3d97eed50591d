import { setTimeout as delay } from 'node:timers/promises'

export type BatcherOptions<T> = {
  /** Entries that one write takes at most. */
  size: number
  /** How long the first entry waits for company, in milliseconds. */
  patienceMs: number
  /** Writes that may run beside each other. */
  writers: number
  write(batch: T[]): Promise<void>
  /** Called at each failed write, before the same batch is tried again. */
  onFailure(error: unknown): void
  /** Whether this error comes again however often the same batch is written. Left out, none does. */
  isHopeless?(error: unknown): boolean
  /** Takes leave of an entry that can never be written. */
  giveUp?(entry: T, error: unknown): void
}

/**
 * Collects entries and writes them in batches; a batch that fails is written again until it succeeds, so that what was
 * added is never dropped while the process lives. `write` must bear being run twice with the same batch. Where a batch can
 * never be written, the entry at fault is found by halving it, so that one entry does not hold up all others for ever.
 */
export class Batcher<T> {
  readonly #options: BatcherOptions<T>
  #waiting: T[] = []
  #writing = 0
  #timer: NodeJS.Timeout | undefined
  #added = 0
  // ordinal up to which all is written, kept by the first ordinals of the running writes
  readonly #running = new Set<number>()
  #taken = 0
  #barriers: Array<{ until: number; resolve: () => void }> = []

  constructor(options: BatcherOptions<T>) {
    this.#options = options
  }

  /** Entries that are not written yet. */
  get pending(): number {
    return this.#added - this.#settled()
  }

  add(entry: T): void {
    this.#waiting.push(entry)
    this.#added++
    if (this.#waiting.length >= this.#options.size) this.#pump()
    else this.#timer ??= setTimeout(() => this.#pump(), this.#options.patienceMs)
  }

  /** Resolves when all that had been added before this call is written. */
  flushed(): Promise<void> {
    if (this.#settled() >= this.#added) return Promise.resolve()
    return new Promise((resolve) => this.#barriers.push({ until: this.#added, resolve }))
  }

  /** All entries with an ordinal below this one are written. */
  #settled(): number {
    let settled = this.#taken
    for (const first of this.#running) settled = Math.min(settled, first)
    return settled
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#waiting.length > 0 && this.#writing < this.#options.writers) {
      const batch = this.#waiting.splice(0, this.#options.size)
      void this.#write(batch)
    }
  }

  async #write(batch: T[]): Promise<void> {
    const first = this.#taken
    this.#taken += batch.length
    this.#running.add(first)
    this.#writing++
    await this.#writeAll(batch)
    this.#writing--
    this.#running.delete(first)
    const settled = this.#settled()
    this.#barriers = this.#barriers.filter((barrier) => {
      if (barrier.until > settled) return true
      barrier.resolve()
      return false
    })
    if (this.#waiting.length > 0) this.#pump()
  }

  async #writeAll(batch: T[]): Promise<void> {
    const { write, onFailure, isHopeless, giveUp } = this.#options
    for (let failures = 0; ; failures++) {
      try {
        return await write(batch)
      } catch (error) {
        onFailure(error)
        if (isHopeless?.(error)) {
          if (batch.length === 1) return giveUp?.(batch[0] as T, error)
          const middle = batch.length >> 1
          await this.#writeAll(batch.slice(0, middle))
          return await this.#writeAll(batch.slice(middle))
        }
        await delay(Math.min(1_000, 50 * 2 ** failures))
      }
    }
  }
}
