import type { FastifyBaseLogger } from 'fastify'

const linesPerSource = 20
const linesWithoutKey = 100
const periodMs = 1_000

/**
 * Limits the log lines that callers can cause: 20 per second of an account, 20 of a client without a key, and 100 of all
 * clients without a key. Beyond these the lines are counted, and once per second one line per account has their number in
 * `omitted`.
 */
export class LineLimits {
  readonly #log: FastifyBaseLogger
  readonly #message: string
  /** Lines of this second, by account or by address; not more addresses than `linesWithoutKey`. */
  readonly #lines = new Map<number | string, number>()
  #withoutKey = 0
  /** Requests of this second that have no line, by account; undefined stands for requests without a key. */
  readonly #omitted = new Map<number | undefined, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: FastifyBaseLogger, message: string) {
    this.#log = log
    this.#message = message
  }

  /** Returns whether a request gets a line. */
  take(account: number | undefined, client: string): boolean {
    this.#timer ??= setTimeout(() => this.report(), periodMs).unref()
    const source = account ?? client
    const lines = this.#lines.get(source) ?? 0
    if (lines < linesPerSource && (account !== undefined || this.#withoutKey < linesWithoutKey)) {
      this.#lines.set(source, lines + 1)
      if (account === undefined) this.#withoutKey++
      return true
    }
    this.#omitted.set(account, (this.#omitted.get(account) ?? 0) + 1)
    return false
  }

  /** Logs the numbers of this second and begins the next one. */
  report(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [account, omitted] of this.#omitted) this.#log.info({ account, omitted }, this.#message)
    this.#omitted.clear()
    this.#lines.clear()
    this.#withoutKey = 0
  }
}
