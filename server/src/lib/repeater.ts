/**
 * Runs work repeatedly with a pause between runs, never concurrently. `now()` starts a run without the pause. A failure is
 * passed to `onFailure`, and the next run follows after the pause.
 */
export class Repeater {
  readonly #work: () => Promise<unknown>
  readonly #pauseMs: number
  readonly #onFailure: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #stopped = false

  /** If `work` returns true, there may be more work, and it runs again without a pause. */
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
    this.#running = this.#run()
  }

  /** Stops; resolves when the current run, if any, has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
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
