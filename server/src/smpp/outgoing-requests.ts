// The requests that a session sends: each one uses the window, has a deadline and ends exactly once. The session's own
// enquire_link is one of them, and one timer serves the deadlines and the silence of the peer.

import { DeadlineTimer, type MonotonicClock } from './deadline-timer.ts'
import { InFlight, type OnOutcome, type Outcome, type Pending } from './in-flight.ts'
import type { Inbox } from './inbox.ts'
import { LinkMonitor } from './link-monitor.ts'
import type { Outbox } from './outbox.ts'
import { enquireLink, type Notice, type RequestCommand, type RequestPdu, type ResponsePdu } from './pdu/pdu.ts'
import { type SessionOptions, WindowFull } from './session.types.ts'

/** What the requests need of their session. */
export type RequestsHost = {
  clock: MonotonicClock
  inbox: Inbox
  outbox: Outbox
  isBound(): boolean
  isUnbinding(): boolean
  /** Window slots became free. */
  onDrain(): void
  /** A request ended, and no other one is in flight. */
  onIdle(): void
  /** A response arrived after the deadline of its request. */
  onLate(request: RequestPdu, response: ResponsePdu): void
  /** The peer was silent until the deadline of an enquire_link too. */
  onSilent(): void
}

export class OutgoingRequests {
  window: number
  responseDeadlineMs: number
  enquireLinkMs: number
  readonly #host: RequestsHost
  readonly #inFlight = new InFlight()
  readonly #timer: DeadlineTimer
  readonly #link: LinkMonitor
  #isClosed = false
  #sentOrdinal = 0
  #hasFreedSlots = false

  constructor(host: RequestsHost, options: SessionOptions) {
    this.window = options.window ?? 100
    this.responseDeadlineMs = options.responseDeadlineMs ?? 10_000
    this.enquireLinkMs = options.enquireLinkMs ?? 15_000
    this.#host = host
    this.#timer = new DeadlineTimer(host.clock, () => this.#tick())
    this.#link = new LinkMonitor(host.clock.now())
  }

  /** Requests without a response. */
  get size(): number {
    return this.#inFlight.size
  }

  /** Used window slots. */
  get windowSlots(): number {
    return this.#inFlight.windowSlots
  }

  /** Free window slots; 0 when a text would be written to a peer that may not read it. */
  get free(): number {
    const { outbox } = this.#host
    if (!this.#host.isBound() || this.#host.isUnbinding() || this.#link.isSuspect || outbox.isBlocked) return 0
    return Math.max(0, this.window - this.#inFlight.windowSlots)
  }

  /**
   * Sends a request under a new sequence number and calls `onOutcome` exactly once. Throws WindowFull when no window slot
   * is free and PduError when the PDU cannot be encoded; then nothing was sent and `onOutcome` is never called.
   */
  send(pdu: RequestPdu, onOutcome: OnOutcome): void {
    const usesWindow = usesWindowSlot(pdu.command)
    if (usesWindow && this.#inFlight.windowSlots >= this.window)
      throw new WindowFull(`window of ${this.window} is full`)
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#host.outbox.add(pdu, usesWindow)
    const writtenAt = this.#host.clock.now()
    this.#inFlight.add(pdu, onOutcome, { writtenAt, deadline: writtenAt + this.responseDeadlineMs }, usesWindow)
    if (this.#inFlight.size === 1) this.arm()
  }

  /** Sends a PDU that has no response, under a new sequence number. Throws PduError when it cannot be encoded. */
  notify(pdu: Notice): void {
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#host.outbox.add(pdu)
  }

  /** Removes and returns the request of this response, for settle(). Undefined when it timed out or never existed. */
  take(response: ResponsePdu): Pending | undefined {
    const pending = this.#inFlight.take(response)
    if (pending) return pending
    const request = this.#inFlight.takeExpired(response)
    if (request) this.#host.onLate(request, response)
    return undefined
  }

  /** Ends a request that is no longer in flight. */
  settle(pending: Pending, outcome: Outcome): void {
    if (pending.usesWindow) this.#hasFreedSlots = true
    pending.onOutcome(outcome)
    if (this.#inFlight.size === 0) this.#host.onIdle()
  }

  /** Records that the outbox handed all requests so far to the stream: the peer may see them. */
  flushed(): void {
    this.#sentOrdinal = this.#inFlight.ordinal
  }

  /** Records that the stream accepts octets again. */
  unblocked(): void {
    this.#hasFreedSlots = true
    this.emitDrain()
  }

  /** Records that octets of the peer arrived. */
  heard(): void {
    if (this.#link.heard(this.#host.clock.now())) this.#hasFreedSlots = true
  }

  /** Starts the silence of the peer anew, after a time without reading. */
  restartSilence(): void {
    this.#link.restartSilence(this.#host.clock.now())
  }

  /** Reports freed window slots, once for all that were freed since the last report. */
  emitDrain(): void {
    if (!this.#hasFreedSlots) return
    this.#hasFreedSlots = false
    this.#host.onDrain()
  }

  /** Sets the timer for the earlier of the oldest request's deadline and the end of the allowed silence. */
  arm(): void {
    if (this.#isClosed) return
    const oldest = this.#inFlight.oldest
    if (oldest) this.#timer.ringAt(oldest.deadline)
    if (this.#isListening) this.#timer.ringAt(this.#link.enquireAt(this.enquireLinkMs))
  }

  /** Ends all requests in flight as `closed`. */
  close(reason: string): void {
    this.#isClosed = true
    this.#timer.clear()
    for (const { onOutcome, ordinal } of this.#inFlight.takeAll()) {
      onOutcome({ kind: 'closed', sent: ordinal <= this.#sentOrdinal, reason })
    }
  }

  get #isListening(): boolean {
    return this.#host.isBound() && !this.#link.isEnquiring && !this.#host.inbox.paused
  }

  #tick() {
    const now = this.#host.clock.now()
    for (let late = this.#inFlight.takeOverdue(now); late; late = this.#inFlight.takeOverdue(now)) {
      if (!this.#host.inbox.paused) this.#link.requestTimedOut(late.writtenAt)
      this.settle(late, { kind: 'timeout' })
    }
    const isSuspect = this.#link.isSuspect && !this.#host.isUnbinding()
    const isSilent = isSuspect || now >= this.#link.enquireAt(this.enquireLinkMs)
    if (this.#isListening && isSilent) this.#enquire()
    this.emitDrain()
    this.arm()
  }

  #enquire() {
    const enquiredAt = this.#host.clock.now()
    this.#link.isEnquiring = true
    this.send(enquireLink(), (outcome) => {
      this.#link.isEnquiring = false
      const isSilent = outcome.kind === 'timeout' && this.#link.isSilentSince(enquiredAt)
      if (isSilent && !this.#host.inbox.paused) this.#host.onSilent()
      else this.arm()
    })
  }
}

function usesWindowSlot(command: RequestCommand): boolean {
  return command === 'submit_sm' || command === 'deliver_sm' || command === 'data_sm' || command === 'submit_multi'
}
