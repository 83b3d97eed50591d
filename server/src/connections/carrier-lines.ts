/** The methods of a logger that limited lines use. */
type Log = Record<'warn' | 'info', (fields: object, message: string) => void>

const linesPerConnection = 60
const periodMs = 60_000

/**
 * Limits the log lines that a carrier can cause: 60 per minute of a connection in a process. Beyond these, the lines are counted, and
 * once per minute one line per connection has their number in `omitted`.
 */
export class CarrierLines {
  readonly #log: Log
  /** Lines of this minute by connection, also those that are omitted. */
  readonly #lines = new Map<number, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: Log) {
    this.#log = log
  }

  warn(connectionId: number, fields: object, message: string): void {
    if (this.#take(connectionId)) this.#log.warn(fields, message)
  }

  info(connectionId: number, fields: object, message: string): void {
    if (this.#take(connectionId)) this.#log.info(fields, message)
  }

  /** Logs the numbers of this minute and begins the next one. */
  report(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [id, lines] of this.#lines) {
      const omitted = lines - linesPerConnection
      if (omitted > 0) this.#log.warn({ connection_id: id, omitted }, 'lines about a connection omitted')
    }
    this.#lines.clear()
  }

  #take(connectionId: number): boolean {
    this.#timer ??= setTimeout(() => this.report(), periodMs).unref()
    const lines = (this.#lines.get(connectionId) ?? 0) + 1
    this.#lines.set(connectionId, lines)
    return lines <= linesPerConnection
  }
}

const linesOfLog = new WeakMap<Log, CarrierLines>()

/** Returns the limited lines of a logger, the same ones for all parts of a process that use it. */
export function carrierLines(log: Log): CarrierLines {
  const lines = linesOfLog.get(log) ?? new CarrierLines(log)
  linesOfLog.set(log, lines)
  return lines
}
