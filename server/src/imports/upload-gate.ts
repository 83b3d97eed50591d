import { errors } from '../errors.ts'
import { FairPlaces, type FairPlacesOptions } from '../lib/fair-places.ts'

/** Limits the uploads that run at a time, in all and of one account. Bodies of uploads that wait are not read. */
export class UploadGate {
  readonly #places: FairPlaces
  readonly #retryAfterS: number

  constructor(options: FairPlacesOptions) {
    this.#places = new FairPlaces(options)
    this.#retryAfterS = Math.ceil(Math.min(options.maxWaitMs, 60_000) / 1_000)
  }

  /**
   * Calls `work` when the account gets a place. Throws a 503 if that takes too long, or if too many of its uploads wait, and
   * the reason of `signal` if that is aborted first.
   */
  async run<T>(accountId: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (!(await this.#places.take(accountId, signal))) {
      throw signal.aborted ? signal.reason : errors.uploadsBusy(this.#retryAfterS)
    }
    try {
      return await work()
    } finally {
      this.#places.release(accountId)
    }
  }
}
