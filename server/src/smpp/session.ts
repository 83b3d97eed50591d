// One SMPP session over any duplex stream, for either end of the link: its bind state and the requests of the peer, which
// are checked against that state and emitted as events. `OutgoingRequests` handles the requests of this end.

import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { type BoundState, boundStateOf, isAllowed, type SessionState, type Side } from './bind-state.ts'
import { type MonotonicClock, monotonicClock } from './deadline-timer.ts'
import type { OnOutcome, Outcome } from './in-flight.ts'
import { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'
import { OutgoingRequests } from './outgoing-requests.ts'
import { commandStatus } from './pdu/command-status.ts'
import {
  blankPdu,
  genericNack,
  isBind,
  isNotice,
  isResponse,
  type Notice,
  type PduOf,
  type RequestCommand,
  type RequestPdu,
  type ResponsePdu,
  type ResponseTo,
  responseOf,
} from './pdu/pdu.ts'
import { readFrame } from './received-frame.ts'
import {
  type ResponseFields,
  type SessionEvents,
  type SessionOptions,
  SmppClosed,
  SmppTimeout,
} from './session.types.ts'
import { destroyStream, disableWriteDelay, endStream, watchStream } from './stream.ts'
import { Unbinding } from './unbinding.ts'

/** Maximum number of unsent octets; above it, the session stops reading until the peer reads some of them. */
const BACKLOG_LIMIT = 1024 * 1024

export class Session extends EventEmitter<SessionEvents> {
  readonly #stream: Duplex
  readonly #clock: MonotonicClock
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #requests: OutgoingRequests
  #state: SessionState = 'open'
  #side: Side | undefined
  readonly #unbinding: Unbinding

  constructor(stream: Duplex, options: SessionOptions = {}) {
    super()
    this.#clock = options.clock ?? monotonicClock
    this.#stream = stream
    disableWriteDelay(stream)
    this.#outbox = new Outbox(stream, {
      staleMs: options.staleMs ?? Number.POSITIVE_INFINITY,
      onFlush: () => {
        this.#requests.flushed()
        this.#applyBackpressure()
      },
      onUnblocked: () => this.#requests.unblocked(),
      onStale: () => this.destroy('stale before it could be written'),
    })
    this.#inbox = new Inbox(stream, {
      onOctets: () => this.#requests.octetsReceived(),
      onFrame: (frame) => this.#handleFrame(frame),
      onRead: () => {
        this.#requests.emitDrain()
        this.#applyBackpressure()
      },
      onFrameError: (error) => {
        this.#outbox.add(genericNack(error.command_status, 0))
        this.#end(`bad frame: ${error.message}`)
      },
    })
    this.#requests = new OutgoingRequests(
      {
        clock: this.#clock,
        inbox: this.#inbox,
        outbox: this.#outbox,
        isBound: () => this.bound,
        isUnbinding: () => this.#unbinding.hasStarted,
        onDrain: () => this.emit('drain'),
        onIdle: () => this.#unbinding.idle(),
        onLate: (request, response) => this.emit('late', request, response),
        onSilent: () => this.destroy('silent'),
      },
      options,
    )
    const end = (reason: string) => this.#end(reason)
    this.#unbinding = new Unbinding({
      stream,
      clock: this.#clock,
      requests: this.#requests,
      isBound: () => this.bound,
      respond: (request) => this.respond(request),
      end,
    })
    watchStream(stream, end, (reason) => this.#close(reason))
  }

  /** Maximum number of used window slots; like the two durations below, a change applies to later requests. */
  get window(): number {
    return this.#requests.window
  }

  set window(size: number) {
    this.#requests.window = size
  }

  get responseDeadlineMs(): number {
    return this.#requests.responseDeadlineMs
  }

  set responseDeadlineMs(ms: number) {
    this.#requests.responseDeadlineMs = ms
  }

  get enquireLinkMs(): number {
    return this.#requests.enquireLinkMs
  }

  set enquireLinkMs(ms: number) {
    this.#requests.enquireLinkMs = ms
  }

  get state(): SessionState {
    return this.#state
  }

  get bound(): boolean {
    return this.#state === 'bound_trx' || this.#state === 'bound_tx' || this.#state === 'bound_rx'
  }

  /** Number of used window slots. */
  get inFlight(): number {
    return this.#requests.windowSlots
  }

  /**
   * Number of free window slots. It is 0 unless bound, while the session unbinds, while the stream is blocked, and while the
   * peer is suspect, because a text that is written to a dead peer stays unconfirmed.
   */
  get free(): number {
    return this.#requests.free
  }

  /** Number of octets that the peer has not read yet. */
  get backlog(): number {
    return this.#outbox.backlog
  }

  /**
   * Sends a request under a new sequence number (written into the PDU) and calls `onOutcome` exactly once, never before
   * request() returns. Throws WindowFull if no window slot is free and PduError if the PDU cannot be encoded; then nothing
   * was sent and `onOutcome` is never called.
   */
  request(pdu: RequestPdu, onOutcome: OnOutcome) {
    if (this.#unbinding.hasStarted || !isAllowed(pdu.command, this.#side, this.#state)) {
      const reason =
        this.#state === 'closed'
          ? 'closed'
          : this.#unbinding.hasStarted
            ? 'unbinding'
            : `not allowed when ${this.#state}`
      process.nextTick(onOutcome, { kind: 'closed', sent: false, reason } satisfies Outcome)
      return
    }
    this.#requests.send(pdu, onOutcome)
  }

  /** Sends a PDU that has no response. Returns whether the bind state allowed it; throws PduError like request(). */
  notify(pdu: Notice): boolean {
    if (this.#unbinding.hasStarted || !isAllowed(pdu.command, this.#side, this.#state)) return false
    this.#requests.notify(pdu)
    return true
  }

  /** Like request(), as a promise of the response with any command_status. Rejects with SmppTimeout or SmppClosed. */
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
   * Responds to a request of the peer, unless the session is closed or the request has no response. ESME_ROK to a bind makes
   * the session bound.
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

  /** Stops reading and emitting requests immediately, even within a read; the pause does not count as silence. */
  pause() {
    this.#inbox.pause()
  }

  resume() {
    if (!this.#inbox.paused) return
    this.#requests.restartSilence()
    this.#inbox.resume()
    this.#requests.arm()
  }

  /**
   * Rejects new requests, waits for those in flight (each has its deadline), unbinds and closes. Resolves when the stream
   * is closed, for any reason.
   */
  unbind(): Promise<void> {
    return this.#unbinding.start()
  }

  /** Closes the session immediately: requests in flight end as `closed`, and octets that the system buffers are not sent. */
  destroy(reason = 'destroyed') {
    const hasOpenRequests = this.#requests.size > 0
    this.#close(reason)
    destroyStream(this.#stream, hasOpenRequests)
  }

  #handleFrame(frame: Buffer) {
    const { pdu, rejection } = readFrame(frame)
    if (rejection) this.#outbox.add(rejection)
    if (!pdu) return
    if (isResponse(pdu)) this.#handleResponse(pdu)
    else this.#handleRequest(pdu)
  }

  #handleResponse(response: ResponsePdu) {
    const pending = this.#requests.take(response)
    if (!pending) return
    if (isBind(pending.pdu) && response.command_status === 0 && response.command !== 'generic_nack') {
      this.#bind('esme', boundStateOf[pending.pdu.command])
    }
    this.#requests.settle(pending, { kind: 'response', pdu: response })
  }

  #handleRequest(request: RequestPdu) {
    const peer = this.#side === undefined ? undefined : this.#side === 'esme' ? 'smsc' : 'esme'
    if (!isAllowed(request.command, peer, this.#state)) {
      const status = isBind(request) && this.bound ? commandStatus.ESME_RALYBND : commandStatus.ESME_RINVBNDSTS
      if (isNotice(request)) this.#outbox.add(genericNack(status, request.sequence_number))
      else this.respond(request, { command_status: status })
    } else if (request.command === 'enquire_link') this.respond(request)
    else if (request.command === 'unbind') this.#unbinding.handleRequest(request)
    else if (!this.emit('request', request) && !isNotice(request)) {
      // no listener: this status makes an SMSC retry later
      this.respond(request, { command_status: commandStatus.ESME_RX_T_APPN })
    }
  }

  #bind(side: Side, state: BoundState) {
    this.#side = side
    this.#state = state
    this.#requests.arm()
  }

  /** Stops reading while the peer does not read our responses. */
  #applyBackpressure() {
    this.#inbox.setBlocked(this.#outbox.backlog > BACKLOG_LIMIT)
  }

  /** Closes in order: sends the written PDUs and waits until the peer closes its side. */
  #end(reason: string) {
    if (this.#state === 'closed') return
    this.#outbox.flush()
    this.#close(reason)
    endStream(this.#stream, this.#clock)
  }

  #close(reason: string) {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#inbox.close()
    this.#requests.close(reason)
    this.#unbinding.idle()
    this.emit('close', reason)
  }
}
