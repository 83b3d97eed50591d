// The requests that a session sends: each one uses the window, has a deadline and ends exactly once. The session's own
// enquire_link is one of them; one timer serves the deadlines and the silence of the peer.

import { DeadlineTimer, type MonotonicClock } from './deadline-timer.ts'
import { InFlight, type OnOutcome, type Outcome, type Pending } from './in-flight.ts'
import type { Inbox } from './inbox.ts'
import { LinkMonitor } from './link-monitor.ts'
import type { Outbox } from './outbox.ts'
import { enquireLink, type Notice, type RequestCommand, type RequestPdu, type ResponsePdu } from './pdu/pdu.ts'
import { type SessionOptions, WindowFull } from './session.types.ts'

/** The parts of a session that its requests use. */
export type RequestsHost = {
  clock: MonotonicClock
  inbox: Inbox
  outbox: Outbox
  isBound(): boolean
  isUnbinding(): boolean
  /** Window slots became free. */
  onDrain(): void
  /** A request ended, and no request is in flight. */
  onIdle(): void
  /** A response arrived after its request's deadline. */
  onLate(request: RequestPdu, response: ResponsePdu): void
  /** The peer was silent until the deadline of an enquire_link, too. */
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

  /** Number of requests without a response. */
  get size(): number {
    return this.#inFlight.size
  }

  /** Number of used window slots. */
  get windowSlots(): number {
    return this.#inFlight.windowSlots
  }

  /** Number of free window slots; 0 if the peer might not read a text written now. */
  get free(): number {
    const { outbox } = this.#host
    if (!this.#host.isBound() || this.#host.isUnbinding() || this.#link.isSuspect || outbox.isBlocked) return 0
    return Math.max(0, this.window - this.#inFlight.windowSlots)
  }

  /**
   * Sends a request under a new sequence number and calls `onOutcome` exactly once. Throws WindowFull if no window slot is
   * free and PduError if the PDU cannot be encoded; then nothing was sent and `onOutcome` is never called.
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

  /** Sends a PDU that has no response, under a new sequence number. Throws PduError if it cannot be encoded. */
  notify(pdu: Notice): void {
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#host.outbox.add(pdu)
  }

  /** Removes and returns the request of this response, for settle(). Returns undefined if it timed out or never existed. */
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

  /** Records that the outbox passed all requests so far to the stream, so the peer may receive them. */
  flushed(): void {
    this.#sentOrdinal = this.#inFlight.ordinal
  }

  /** Records that the stream accepts octets again. */
  unblocked(): void {
    this.#hasFreedSlots = true
    this.emitDrain()
  }

  /** Records that octets of the peer arrived. */
  octetsReceived(): void {
    if (this.#link.octetsReceived(this.#host.clock.now())) this.#hasFreedSlots = true
  }

  /** Restarts the silence of the peer, after a time without reading. */
  restartSilence(): void {
    this.#link.restartSilence(this.#host.clock.now())
  }

  /** Reports the window slots that were freed since the last report, if any. */
  emitDrain(): void {
    if (!this.#hasFreedSlots) return
    this.#hasFreedSlots = false
    this.#host.onDrain()
  }

  /** Sets the timer for the earlier of the oldest request's deadline and the end of the allowed silence. */
  arm(): void {
    if (this.#isClosed) return
    const oldest = this.#inFlight.oldest
    if (oldest) this.#timer.fireAt(oldest.deadline)
    if (this.#isListening) this.#timer.fireAt(this.#link.enquireAt(this.enquireLinkMs))
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
    for (let overdue = this.#inFlight.takeOverdue(now); overdue; overdue = this.#inFlight.takeOverdue(now)) {
      if (!this.#host.inbox.paused) this.#link.requestTimedOut(overdue.writtenAt)
      this.settle(overdue, { kind: 'timeout' })
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
