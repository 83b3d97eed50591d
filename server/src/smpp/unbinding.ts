import type { Duplex } from 'node:stream'
import type { MonotonicClock } from './deadline-timer.ts'
import type { OutgoingRequests } from './outgoing-requests.ts'
import { type Unbind, unbind } from './pdu/pdu.ts'
import { LINGER_MS } from './stream.ts'

/** The parts of a session that unbinding uses. */
export type UnbindingHost = {
  stream: Duplex
  clock: MonotonicClock
  requests: OutgoingRequests
  isBound(): boolean
  respond(request: Unbind): void
  end(reason: string): void
}

/** The orderly end of a session, started by either end, which waits for the requests in flight. */
export class Unbinding {
  readonly #host: UnbindingHost
  #done: Promise<void> | undefined
  #isSent = false
  #onIdle: (() => void) | undefined

  constructor(host: UnbindingHost) {
    this.#host = host
  }

  /** Whether either end has started to unbind; from then on the session sends no more requests. */
  get hasStarted(): boolean {
    return this.#done !== undefined
  }

  /** Waits for the requests in flight, unbinds and closes. Resolves when the stream is closed, for any reason. */
  start(): Promise<void> {
    this.#done ??= this.#unbind()
    return this.#done
  }

  /** Handles the peer's unbind: waits at most LINGER_MS for open responses, because a lost one leaves a text unconfirmed. */
  handleRequest(request: Unbind): void {
    const { clock, requests } = this.#host
    const finish = () => {
      clock.clearTimeout(timer)
      this.#host.respond(request)
      this.#host.end('peer unbound')
    }
    const timer = clock.setTimeout(finish, LINGER_MS)
    if (this.#isSent || requests.size === 0) {
      finish()
      return
    }
    const onIdle = this.#onIdle
    this.#done ??= this.#streamClosed()
    this.#onIdle = () => {
      finish()
      onIdle?.()
    }
  }

  /** Continues a waiting unbind, when no request is in flight. */
  idle(): void {
    this.#onIdle?.()
  }

  #streamClosed(): Promise<void> {
    const { stream } = this.#host
    if (stream.closed) return Promise.resolve()
    return new Promise((resolve) => stream.once('close', () => resolve()))
  }

  async #unbind() {
    const { requests, isBound, end } = this.#host
    const streamClosed = this.#streamClosed()
    if (isBound() && requests.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    this.#isSent = isBound()
    if (this.#isSent) requests.send(unbind(), () => end('unbound'))
    else end('unbound')
    await streamClosed
  }
}
