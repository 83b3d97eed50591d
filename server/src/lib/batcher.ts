import { setTimeout as delay } from 'node:timers/promises'

export type BatcherOptions<T> = {
  /** Maximum number of entries in one write. */
  size: number
  /** Maximum delay of the first entry of a batch, in milliseconds. */
  maxDelayMs: number
  /** Returns the maximum number of concurrent writes at this time. */
  writers(): number
  write(batch: T[]): Promise<void>
  /** Called after each failed write, before the same batch is retried. */
  onFailure(error: unknown): void
  /** Returns whether an error is permanent, so that the same batch is not retried; by default no error is. */
  isPermanent?(error: unknown): boolean
  /** Called with an entry whose write failed permanently and is not retried. */
  onDropped?(entry: T, error: unknown): void
  /**
   * Returns whether an error concerns the entries of the batch, and not the state of the destination, so that other
   * batches can be written; by default no error does.
   */
  isOwn?(error: unknown): Promise<boolean>
}

/** Failures of a batch after which it is asked whether they are its own. */
const failuresUntilSplit = 5
const maxPauseMs = 1_000
/** Pause between two attempts to write an entry that fails alone. */
const alonePauseMs = 30_000

/**
 * Collects entries and writes them in batches. Retries a failed batch until it succeeds, so that no entry is dropped while
 * the process runs; `write` must be idempotent. After a permanent error, it halves the batch until it has isolated the
 * entry with the error, which it drops, so that one entry does not block the others. After five failures with errors that
 * concern the batch itself it does the same, and retries the isolated entry twice a minute, without a writer.
 */
export class Batcher<T> {
  readonly #options: BatcherOptions<T>
  #waiting: T[] = []
  #writing = 0
  #timer: NodeJS.Timeout | undefined
  #added = 0
  // the first ordinal of each running write; all entries below the lowest of them are written
  readonly #running = new Set<number>()
  #started = 0
  #barriers: Array<{ until: number; resolve: () => void }> = []

  constructor(options: BatcherOptions<T>) {
    this.#options = options
  }

  /** Number of entries that are not written yet. */
  get pending(): number {
    return this.#added - this.#settled()
  }

  add(entry: T): void {
    this.#waiting.push(entry)
    this.#added++
    if (this.#waiting.length >= this.#options.size) this.#pump()
    else this.#timer ??= setTimeout(() => this.#pump(), this.#options.maxDelayMs)
  }

  /** Resolves when every entry that was added before this call is written. */
  flushed(): Promise<void> {
    if (this.#settled() >= this.#added) return Promise.resolve()
    return new Promise((resolve) => this.#barriers.push({ until: this.#added, resolve }))
  }

  /** Returns the ordinal below which all entries are written. */
  #settled(): number {
    let settled = this.#started
    for (const first of this.#running) settled = Math.min(settled, first)
    return settled
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#waiting.length > 0 && this.#writing < this.#options.writers()) {
      const batch = this.#waiting.splice(0, this.#options.size)
      void this.#write(batch)
    }
  }

  async #write(batch: T[]): Promise<void> {
    const first = this.#started
    this.#started += batch.length
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

  async #writeAll(batch: T[], failuresBefore = 0): Promise<void> {
    const { write, onFailure, isPermanent, onDropped, isOwn } = this.#options
    for (let failures = failuresBefore + 1; ; failures++) {
      try {
        return await write(batch)
      } catch (error) {
        onFailure(error)
        const isDropped = isPermanent?.(error) ?? false
        if (isDropped || (failures >= failuresUntilSplit && (await isOwn?.(error)))) {
          if (batch.length === 1) return isDropped ? onDropped?.(batch[0] as T, error) : void this.#writeAlone(batch)
          const middle = batch.length >> 1
          await this.#writeAll(batch.slice(0, middle), failures - 1)
          return await this.#writeAll(batch.slice(middle), failures - 1)
        }
        await delay(Math.min(maxPauseMs, 25 * 2 ** failures))
      }
    }
  }

  /** Retries an entry that keeps failing, beside the writers. */
  async #writeAlone([entry]: T[]): Promise<void> {
    const { write, onFailure, isPermanent, onDropped } = this.#options
    for (;;) {
      await delay(alonePauseMs, undefined, { ref: false })
      try {
        return await write([entry as T])
      } catch (error) {
        onFailure(error)
        if (isPermanent?.(error)) return onDropped?.(entry as T, error)
      }
    }
  }
}
