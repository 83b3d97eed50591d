// One SMPP session over any duplex stream, for either end of the link. Requests go out within a window and each has a
// deadline; requests of the peer are checked against the bind state and emitted as events.

import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type BoundState, boundStateOf, isAllowed, type SessionState, type Side } from './bind-state.ts'
import { DeadlineTimer, type MonotonicClock, monotonicClock } from './deadline-timer.ts'
import { InFlight, type OnOutcome, type Outcome, type Pending } from './in-flight.ts'
import { Inbox } from './inbox.ts'
import { LinkMonitor } from './link-monitor.ts'
import { Outbox } from './outbox.ts'
import { decodePdu } from './pdu/codec.ts'
import { commandStatus } from './pdu/command-status.ts'
import {
  blankPdu,
  enquireLink,
  genericNack,
  isBind,
  isNotice,
  isResponse,
  type Notice,
  type Pdu,
  type PduOf,
  type RequestCommand,
  type RequestPdu,
  type ResponsePdu,
  type ResponseTo,
  responseOf,
  type Unbind,
  unbind,
} from './pdu/pdu.ts'
import { PduError } from './pdu/pdu-error.ts'
import {
  type ResponseFields,
  type SessionEvents,
  type SessionOptions,
  SmppClosed,
  SmppTimeout,
  WindowFull,
} from './session.types.ts'

const COMMAND_ID_AT = 4
const FIRST_RESPONSE_ID = 0x8000_0000
/** Unsent octets above which the session stops reading, until the peer has read some of them. */
const BACKLOG_LIMIT = 1024 * 1024
/** Time that a socket has to close in order, and that a peer that unbinds has to respond to open requests. */
const LINGER_MS = 1_000

export class Session extends EventEmitter<SessionEvents> {
  // callers may change these three at any time; they apply to later requests
  window: number
  responseDeadlineMs: number
  enquireLinkMs: number
  readonly #stream: Duplex
  readonly #clock: MonotonicClock
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #inFlight = new InFlight()
  readonly #timer: DeadlineTimer
  #state: SessionState = 'open'
  #side: Side | undefined
  #sentOrdinal = 0
  #hasFreedSlots = false
  readonly #link: LinkMonitor
  #unbinding: Promise<void> | undefined
  #unbindSent = false
  #onIdle: (() => void) | undefined

  constructor(stream: Duplex, options: SessionOptions = {}) {
    super()
    this.window = options.window ?? 100
    this.responseDeadlineMs = options.responseDeadlineMs ?? 10_000
    this.enquireLinkMs = options.enquireLinkMs ?? 15_000
    this.#clock = options.clock ?? monotonicClock
    this.#stream = stream
    this.#link = new LinkMonitor(this.#clock.now())
    this.#timer = new DeadlineTimer(this.#clock, () => this.#tick())
    // Without it, Nagle's algorithm and delayed acknowledgements delay each write by 40 ms.
    if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
    this.#outbox = new Outbox(stream, {
      staleMs: options.staleMs ?? Number.POSITIVE_INFINITY,
      onFlush: () => {
        this.#sentOrdinal = this.#inFlight.ordinal
        this.#applyBackpressure()
      },
      onUnblocked: () => {
        this.#hasFreedSlots = true
        this.#emitDrain()
      },
      onStale: () => this.destroy('stale before it could be written'),
    })
    this.#inbox = new Inbox(stream, {
      onHeard: () => {
        if (this.#link.heard(this.#clock.now())) this.#hasFreedSlots = true
      },
      onFrame: (frame) => this.#handleFrame(frame),
      onRead: () => {
        this.#emitDrain()
        this.#applyBackpressure()
      },
      onFrameError: (error) => {
        this.#outbox.add(genericNack(error.command_status, 0))
        this.#end(`bad frame: ${error.message}`)
      },
    })
    let streamError: Error | undefined
    stream.on('end', () => this.#end('peer closed'))
    stream.on('error', (error) => {
      streamError = error
    })
    stream.on('close', () => this.#close(streamError?.message ?? 'peer closed'))
  }

  get state(): SessionState {
    return this.#state
  }

  get bound(): boolean {
    return this.#state === 'bound_trx' || this.#state === 'bound_tx' || this.#state === 'bound_rx'
  }

  /** Used window slots. */
  get inFlight(): number {
    return this.#inFlight.windowSlots
  }

  /**
   * Free window slots. 0 unless bound, and while the session unbinds, the stream is blocked, or the peer is suspect: a text
   * that is written to a dead peer stays unconfirmed.
   */
  get free(): number {
    if (!this.bound || this.#unbinding || this.#link.isSuspect || this.#outbox.isBlocked) return 0
    return Math.max(0, this.window - this.#inFlight.windowSlots)
  }

  /** Octets that the peer has not read yet. */
  get backlog(): number {
    return this.#outbox.backlog
  }

  /**
   * Sends a request under a new sequence number (written into the PDU) and calls `onOutcome` exactly once, never before
   * request() returns. Throws WindowFull when no window slot is free and PduError when the PDU cannot be encoded; then
   * nothing was sent and `onOutcome` is never called.
   */
  request(pdu: RequestPdu, onOutcome: OnOutcome) {
    if (this.#unbinding || !isAllowed(pdu.command, this.#side, this.#state)) {
      const reason =
        this.#state === 'closed' ? 'closed' : this.#unbinding ? 'unbinding' : `not allowed when ${this.#state}`
      process.nextTick(onOutcome, { kind: 'closed', sent: false, reason } satisfies Outcome)
      return
    }
    const usesWindow = usesWindowSlot(pdu.command)
    if (usesWindow && this.#inFlight.windowSlots >= this.window)
      throw new WindowFull(`window of ${this.window} is full`)
    this.#send(pdu, onOutcome, usesWindow)
  }

  /** Sends a PDU that has no response. Returns whether the bind state allowed it; throws PduError as request() does. */
  notify(pdu: Notice): boolean {
    if (this.#unbinding || !isAllowed(pdu.command, this.#side, this.#state)) return false
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#outbox.add(pdu)
    return true
  }

  /** request() as a promise of the response, with any command_status. Rejects with SmppTimeout or SmppClosed. */
  send<C extends RequestCommand>(pdu: PduOf<C>): Promise<ResponseTo<C>> {
    return new Promise((resolve, reject) => {
      this.request(pdu as RequestPdu, (outcome) => {
        if (outcome.kind === 'response') resolve(outcome.pdu as ResponseTo<C>)
        else if (outcome.kind === 'timeout') reject(new SmppTimeout(`no response to ${pdu.command}`))
        else reject(new SmppClosed(outcome.reason, outcome.sent))
      })
    })
  }

  /**
   * Responds to a request of the peer. Does nothing when the session is closed or the request has no response. ESME_ROK to a
   * bind makes the session bound.
   */
  respond(request: RequestPdu, fields?: ResponseFields) {
    if (this.#state === 'closed' || isNotice(request)) return
    const response = Object.assign(blankPdu(responseOf[request.command]), fields) as ResponsePdu
    response.sequence_number = request.sequence_number
    if (isBind(request) && response.command_status === commandStatus.ESME_ROK) {
      response.tlvs ??= { sc_interface_version: 0x34 }
      this.#bind('smsc', boundStateOf[request.command])
    }
    this.#outbox.add(response)
  }

  /** Stops reading and emitting requests, in the middle of a read too; the pause does not count as silence of the peer. */
  pause() {
    this.#inbox.pause()
  }

  resume() {
    if (!this.#inbox.paused) return
    this.#link.restartSilence(this.#clock.now())
    this.#inbox.resume()
    this.#arm()
  }

  /**
   * Rejects new requests, waits for those in flight (each has its deadline), unbinds and closes. Resolves when the stream
   * is closed, for any reason.
   */
  unbind(): Promise<void> {
    this.#unbinding ??= this.#unbind()
    return this.#unbinding
  }

  /** Closes the session at once: requests in flight end as `closed`, and the system sends no octet it still buffers. */
  destroy(reason = 'destroyed') {
    const hasOpenRequests = this.#inFlight.size > 0
    this.#close(reason)
    // after any other close, the system would go on offering the written octets to a peer that does not read
    if (hasOpenRequests && this.#stream instanceof Socket && !(this.#stream instanceof TLSSocket))
      this.#stream.resetAndDestroy()
    else this.#stream.destroy()
  }

  /** The peer unbinds: requests in flight get LINGER_MS for their responses, as a lost response leaves a text unconfirmed. */
  #handleUnbind(request: Unbind) {
    const finish = () => {
      this.#clock.clearTimeout(timer)
      this.respond(request)
      this.#end('peer unbound')
    }
    const timer = this.#clock.setTimeout(finish, LINGER_MS)
    if (this.#unbindSent || this.#inFlight.size === 0) return finish()
    const onIdle = this.#onIdle
    this.#unbinding ??= this.#streamClosed()
    this.#onIdle = () => {
      finish()
      onIdle?.()
    }
  }

  #streamClosed(): Promise<void> {
    if (this.#stream.closed) return Promise.resolve()
    return new Promise((resolve) => this.#stream.once('close', () => resolve()))
  }

  async #unbind() {
    const streamClosed = this.#streamClosed()
    if (this.bound && this.#inFlight.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    this.#unbindSent = this.bound
    if (this.bound) this.#send(unbind(), () => this.#end('unbound'), false)
    else this.#end('unbound')
    await streamClosed
  }

  #send(pdu: RequestPdu, onOutcome: OnOutcome, usesWindow: boolean) {
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#outbox.add(pdu, usesWindow)
    const writtenAt = this.#clock.now()
    this.#inFlight.add(pdu, onOutcome, { writtenAt, deadline: writtenAt + this.responseDeadlineMs }, usesWindow)
    if (this.#inFlight.size === 1) this.#arm()
  }

  #handleFrame(frame: Buffer) {
    let pdu: Pdu
    try {
      pdu = decodePdu(frame)
    } catch (error) {
      if (!(error instanceof PduError)) throw error
      // NOTE: a generic_nack to a malformed response would be the response to the peer's own request of that number.
      if (frame.readUInt32BE(COMMAND_ID_AT) < FIRST_RESPONSE_ID) this.#reject(error)
      return
    }
    if (isResponse(pdu)) this.#handleResponse(pdu)
    else this.#handleRequest(pdu)
  }

  /** Rejects a malformed body with the command's own response, anything worse with generic_nack (§4.3). */
  #reject(error: PduError) {
    const { command, command_status, sequence_number } = error
    const response = command && command in responseOf ? responseOf[command as RequestCommand] : 'generic_nack'
    this.#outbox.add({ ...blankPdu(response), command_status, sequence_number } as ResponsePdu)
  }

  #handleResponse(response: ResponsePdu) {
    const pending = this.#inFlight.take(response)
    if (!pending) {
      const request = this.#inFlight.takeExpired(response)
      if (request) this.emit('late', request, response)
      return
    }
    if (isBind(pending.pdu) && response.command_status === 0 && response.command !== 'generic_nack') {
      this.#bind('esme', boundStateOf[pending.pdu.command])
    }
    this.#settle(pending, { kind: 'response', pdu: response })
  }

  #handleRequest(request: RequestPdu) {
    const peer = this.#side === undefined ? undefined : this.#side === 'esme' ? 'smsc' : 'esme'
    if (!isAllowed(request.command, peer, this.#state)) {
      const status = isBind(request) && this.bound ? commandStatus.ESME_RALYBND : commandStatus.ESME_RINVBNDSTS
      if (isNotice(request)) this.#outbox.add(genericNack(status, request.sequence_number))
      else this.respond(request, { command_status: status })
    } else if (request.command === 'enquire_link') this.respond(request)
    else if (request.command === 'unbind') this.#handleUnbind(request)
    else if (!this.emit('request', request) && !isNotice(request)) {
      // no listener: this status makes an SMSC retry later
      this.respond(request, { command_status: commandStatus.ESME_RX_T_APPN })
    }
  }

  #bind(side: Side, state: BoundState) {
    this.#side = side
    this.#state = state
    this.#arm()
  }

  #settle(pending: Pending, outcome: Outcome) {
    if (pending.usesWindow) this.#hasFreedSlots = true
    pending.onOutcome(outcome)
    if (this.#inFlight.size === 0) this.#onIdle?.()
  }

  #emitDrain() {
    if (!this.#hasFreedSlots) return
    this.#hasFreedSlots = false
    this.emit('drain')
  }

  /** Stops reading while the peer does not read our responses, and resumes when it does. */
  #applyBackpressure() {
    this.#inbox.setBlocked(this.#outbox.backlog > BACKLOG_LIMIT)
  }

  // One timer per session, for the earlier of the oldest request's deadline and the end of the allowed silence.
  #arm() {
    if (this.#state === 'closed') return
    const oldest = this.#inFlight.oldest
    if (oldest) this.#timer.ringAt(oldest.deadline)
    if (this.#isListening) this.#timer.ringAt(this.#link.enquireAt(this.enquireLinkMs))
  }

  get #isListening(): boolean {
    return this.bound && !this.#link.isEnquiring && !this.#inbox.paused
  }

  #tick() {
    const now = this.#clock.now()
    for (let late = this.#inFlight.takeOverdue(now); late; late = this.#inFlight.takeOverdue(now)) {
      if (!this.#inbox.paused) this.#link.requestTimedOut(late.writtenAt)
      this.#settle(late, { kind: 'timeout' })
    }
    const isSilent = (this.#link.isSuspect && !this.#unbinding) || now >= this.#link.enquireAt(this.enquireLinkMs)
    if (this.#isListening && isSilent) this.#enquire()
    this.#emitDrain()
    this.#arm()
  }

  #enquire() {
    const enquiredAt = this.#clock.now()
    this.#link.isEnquiring = true
    this.#send(
      enquireLink(),
      (outcome) => {
        this.#link.isEnquiring = false
        if (outcome.kind === 'timeout' && this.#link.isSilentSince(enquiredAt) && !this.#inbox.paused)
          this.destroy('silent')
        else this.#arm()
      },
      false,
    )
  }

  /** Closes in order: sends the written PDUs and gives the peer LINGER_MS to close its side. */
  #end(reason: string) {
    if (this.#state === 'closed') return
    this.#outbox.flush()
    this.#close(reason)
    const timer = this.#clock.setTimeout(() => this.#stream.destroy(), LINGER_MS)
    this.#stream.once('close', () => this.#clock.clearTimeout(timer))
    this.#stream.end()
  }

  #close(reason: string) {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#timer.clear()
    this.#inbox.close()
    for (const { onOutcome, ordinal } of this.#inFlight.takeAll()) {
      onOutcome({ kind: 'closed', sent: ordinal <= this.#sentOrdinal, reason })
    }
    this.#onIdle?.()
    this.emit('close', reason)
  }
}

function usesWindowSlot(command: RequestCommand): boolean {
  return command === 'submit_sm' || command === 'deliver_sm' || command === 'data_sm' || command === 'submit_multi'
}
