import type { Duplex } from 'node:stream'
import type { MonotonicClock } from './deadline-timer.ts'
import type { OutgoingRequests } from './outgoing-requests.ts'
import { type Unbind, unbind } from './pdu/pdu.ts'

/** Time that a socket has to close in order, and that a peer that unbinds has to respond to open requests. */
export const LINGER_MS = 1_000

/** What the unbind needs of its session. */
export type UnbindingHost = {
  stream: Duplex
  clock: MonotonicClock
  requests: OutgoingRequests
  isBound(): boolean
  respond(request: Unbind): void
  end(reason: string): void
}

/** The orderly end of a session, which either end can begin: it waits for the requests in flight. */
export class Unbinding {
  readonly #host: UnbindingHost
  #done: Promise<void> | undefined
  #isSent = false
  #onIdle: (() => void) | undefined

  constructor(host: UnbindingHost) {
    this.#host = host
  }

  /** Whether either end has begun to unbind and was able to wait: the session then sends no more requests. */
  get hasBegun(): boolean {
    return this.#done !== undefined
  }

  /** Waits for the requests in flight, unbinds and closes. Resolves when the stream is closed, for any reason. */
  start(): Promise<void> {
    this.#done ??= this.#unbind()
    return this.#done
  }

  /** The peer unbinds: requests in flight get LINGER_MS for their responses, as a lost response leaves a text unconfirmed. */
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

  /** Continues an unbind that waits: no request is in flight any more. */
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
