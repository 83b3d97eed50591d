import { EventEmitter } from 'node:events'
import { BindError, type ConnectOptions, connect } from './client.ts'
import { type MonotonicClock, monotonicClock } from './deadline-timer.ts'
import { commandStatus } from './pdu/command-status.ts'
import type { Session } from './session.ts'

export type ConnectorOptions = Omit<ConnectOptions, 'signal'>

export type ConnectorEvents = {
  /** A new session is bound. Listeners must attach to it synchronously. */
  bound: [session: Session]
  /** The bound session closed. */
  lost: [reason: string]
  /** A connection attempt failed; the next one follows after `retryMs`, at most 5 s, or 3 minutes if the SMSC rejects the bind. */
  failed: [error: Error, retryMs: number]
}

const MIN_RETRY_MS = 100
const MAX_RETRY_MS = 5_000
/** A rejected bind is retried less often: SMSCs lock accounts that repeat a wrong password. */
export const MAX_REJECTED_RETRY_MS = 180_000
/** Delay after ESME_RALYBND: the SMSC releases our previous bind soon, and each second of delay costs throughput. */
const ALREADY_BOUND_RETRY_MS = 1_000
/** Lifetime after which a bind counts as stable and resets the back-off. */
const STABLE_MS = 1_000

/** Maintains one bind: connects, and reconnects with a jittered back-off, until stop(). */
export class Connector extends EventEmitter<ConnectorEvents> {
  #options: ConnectorOptions
  readonly #clock: MonotonicClock
  #session: Session | undefined
  #abort: AbortController | undefined
  #timer: unknown
  #attempts = 0
  #connecting: Promise<void> = Promise.resolve()

  constructor(options: ConnectorOptions) {
    super()
    this.#options = options
    this.#clock = options.clock ?? monotonicClock
  }

  /** The bound session; undefined while unbound. */
  get session(): Session | undefined {
    return this.#session
  }

  start() {
    if (this.#abort) return
    this.#abort = new AbortController()
    this.#connecting = this.#connect(this.#abort.signal)
  }

  /** Unbinds and does not reconnect. Resolves when the socket is closed. */
  async stop(): Promise<void> {
    this.#abort?.abort()
    this.#abort = undefined
    this.#clock.clearTimeout(this.#timer)
    await this.#connecting
    await this.#session?.unbind()
  }

  /** Applies settings to the current session, if any, and to later ones. */
  applySettings(settings: Pick<Session, 'window' | 'responseDeadlineMs' | 'enquireLinkMs'>): void {
    this.#options = { ...this.#options, ...settings }
    if (this.#session) Object.assign(this.#session, settings)
  }

  async #connect(stopped: AbortSignal): Promise<void> {
    let session: Session
    try {
      session = await connect({ ...this.#options, signal: stopped })
    } catch (error) {
      this.#retry(error as Error, stopped)
      return
    }
    const boundAt = this.#clock.now()
    this.#session = session
    session.once('close', (reason) => {
      this.#session = undefined
      if (this.#clock.now() - boundAt >= STABLE_MS) this.#attempts = 0
      this.emit('lost', reason)
      this.#retry(undefined, stopped)
    })
    this.emit('bound', session)
  }

  #retry(error: Error | undefined, stopped: AbortSignal) {
    if (stopped.aborted) return
    const ms = this.#retryMs(error)
    if (error) this.emit('failed', error, ms)
    // a listener may have called stop()
    if (stopped.aborted) return
    this.#timer = this.#clock.setTimeout(() => {
      this.#connecting = this.#connect(stopped)
    }, ms)
  }

  #retryMs(error: Error | undefined): number {
    if (error instanceof BindError && error.command_status === commandStatus.ESME_RALYBND) return ALREADY_BOUND_RETRY_MS
    const limit = error instanceof BindError ? MAX_REJECTED_RETRY_MS : MAX_RETRY_MS
    const maxMs = Math.min(limit, MIN_RETRY_MS * 2 ** Math.min(this.#attempts++, 30))
    return maxMs * (0.5 + Math.random() / 2)
  }
}
