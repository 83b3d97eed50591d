/**
 * Does a piece of work again and again with a pause between, at once when told that there is some, and never twice at
 * the same time. A failure is reported and the next turn comes all the same.
 */
export class Repeater {
  readonly #work: () => Promise<unknown>
  readonly #pauseMs: number
  readonly #onFailure: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #stopped = false

  /** When `work` answers true, there may be more and it is done again without a pause. */
  constructor(work: () => Promise<unknown>, pauseMs: number, onFailure: (error: unknown) => void) {
    this.#work = work
    this.#pauseMs = pauseMs
    this.#onFailure = onFailure
  }

  start(): void {
    this.now()
  }

  now(): void {
    if (this.#stopped) return
    if (this.#running) {
      this.#again = true
      return
    }
    clearTimeout(this.#timer)
    this.#running = this.#turn()
  }

  /** Resolves when the turn under way, if any, is over. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  async #turn(): Promise<void> {
    do {
      this.#again = false
      try {
        if ((await this.#work()) === true) this.#again = true
      } catch (error) {
        this.#onFailure(error)
        break
      }
    } while (this.#again && !this.#stopped)
    this.#running = undefined
    if (!this.#stopped) this.#timer = setTimeout(() => this.now(), this.#pauseMs)
  }
}
