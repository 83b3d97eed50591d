// One SMPP session over any duplex stream, whichever end of it we are. Requests go out within a window and each has a
// deadline; what the peer sends is checked against the state of the bind and handed on as events.

import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type BoundState, boundStateOf, isAllowed, type SessionState, type Side } from './bind-state.ts'
import { DeadlineTimer, type MonotonicClock, monotonicClock } from './deadline-timer.ts'
import { InFlight, type OnOutcome, type Outcome, type Pending } from './in-flight.ts'
import { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'
import { decodePdu } from './pdu/codec.ts'
import { commandStatus } from './pdu/command-status.ts'
import type { RejectedDestination } from './pdu/destinations.ts'
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
import type { Tlvs } from './pdu/tlvs.ts'
import { SmppClosed, SmppTimeout, WindowFull } from './session-errors.ts'

export type SessionOptions = {
  /** How many submit_sm, submit_multi, deliver_sm and data_sm may wait for their responses. */
  window?: number
  responseDeadlineMs?: number
  /** Nothing heard for so long: ask whether the peer lives. */
  enquireLinkMs?: number
  /** A request that takes a slot and was not written after so long is not written at all: the session is given up. */
  staleMs?: number
  clock?: MonotonicClock
}

export type SessionEvents = {
  /** A request that the state allows; answer it with respond(). enquire_link and unbind are dealt with here. */
  request: [pdu: RequestPdu]
  /** Slots of the window came free; once for all that one read or one tick freed. */
  drain: []
  /** A response after its deadline, while its request (the very object) is still remembered. */
  late: [request: RequestPdu, response: ResponsePdu]
  close: [reason: string]
}

export type ResponseFields = {
  command_status?: number
  message_id?: string
  system_id?: string
  final_date?: string
  message_state?: number
  error_code?: number
  unsuccess_sme?: readonly RejectedDestination[]
  tlvs?: Tlvs
}

const COMMAND_ID_AT = 4
const FIRST_RESPONSE_ID = 0x8000_0000
/** A peer that lets so much pile up is not read from until it has taken it. */
const BACKLOG_LIMIT = 1024 * 1024
/** How long a socket may take to close in good order, and a peer that unbinds to answer what it was asked. */
const LINGER_MS = 1_000

export class Session extends EventEmitter<SessionEvents> {
  // these three may be changed at any time, for what comes after
  window: number
  responseDeadlineMs: number
  enquireLinkMs: number
  readonly #stream: Duplex
  readonly #clock: MonotonicClock
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #inFlight = new InFlight()
  readonly #alarm: DeadlineTimer
  #state: SessionState = 'open'
  #side: Side | undefined
  #sentOrdinal = 0
  #freed = false
  #lastHeard: number
  #enquiring = false
  /** A request ran out of time and not an octet has come since it was written: perhaps nobody is there any more. */
  #doubted = false
  #leaving: Promise<void> | undefined
  #unbindSent = false
  #whenIdle: (() => void) | undefined

  constructor(stream: Duplex, options: SessionOptions = {}) {
    super()
    this.window = options.window ?? 100
    this.responseDeadlineMs = options.responseDeadlineMs ?? 10_000
    this.enquireLinkMs = options.enquireLinkMs ?? 15_000
    this.#clock = options.clock ?? monotonicClock
    this.#stream = stream
    this.#lastHeard = this.#clock.now()
    this.#alarm = new DeadlineTimer(this.#clock, () => this.#tick())
    // Without it Nagle's algorithm and delayed acknowledgements hold each other up for 40 ms.
    if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
    this.#outbox = new Outbox(stream, {
      staleMs: options.staleMs ?? Number.POSITIVE_INFINITY,
      onFlush: () => {
        this.#sentOrdinal = this.#inFlight.ordinal
        this.#breathe()
      },
      onTaken: () => {
        this.#freed = true
        this.#tellDrain()
      },
      onStale: () => this.destroy('stood still before it could write'),
    })
    this.#inbox = new Inbox(stream, {
      onHeard: () => {
        this.#lastHeard = this.#clock.now()
        if (!this.#doubted) return
        this.#doubted = false
        this.#freed = true
      },
      onFrame: (frame) => this.#handleFrame(frame),
      onRead: () => {
        this.#tellDrain()
        this.#breathe()
      },
      onFault: (error) => {
        this.#outbox.add(genericNack(error.command_status, 0))
        this.#end(`bad frame: ${error.message}`)
      },
    })
    let fault: Error | undefined
    stream.on('end', () => this.#end('peer closed'))
    stream.on('error', (error) => {
      fault = error
    })
    stream.on('close', () => this.#close(fault?.message ?? 'peer closed'))
  }

  get state(): SessionState {
    return this.#state
  }

  get bound(): boolean {
    return this.#state === 'bound_trx' || this.#state === 'bound_tx' || this.#state === 'bound_rx'
  }

  /** Slots of the window that are taken. */
  get inFlight(): number {
    return this.#inFlight.counted
  }

  /**
   * Slots to be filled now: none while the session unbinds or is not bound, nor while a peer that let a request run out
   * of time in silence has not been heard again, nor while it takes nothing. What is written to nobody is in doubt for ever.
   */
  get free(): number {
    if (!this.bound || this.#leaving || this.#doubted || this.#outbox.isBlocked) return 0
    return Math.max(0, this.window - this.#inFlight.counted)
  }

  /** Octets that wait for the peer to take them. */
  get backlog(): number {
    return this.#outbox.backlog
  }

  /**
   * Sends a request under a sequence number of its own (written into the PDU) and calls `done` exactly once, never before
   * request() returns. Throws WindowFull when no slot is free and PduError when the PDU cannot be encoded; then nothing
   * was sent and `done` is never called.
   */
  request(pdu: RequestPdu, done: OnOutcome) {
    if (this.#leaving || !isAllowed(pdu.command, this.#side, this.#state)) {
      const reason =
        this.#state === 'closed' ? 'closed' : this.#leaving ? 'unbinding' : `not allowed when ${this.#state}`
      process.nextTick(done, { kind: 'closed', sent: false, reason } satisfies Outcome)
      return
    }
    const counts = usesWindowSlot(pdu.command)
    if (counts && this.#inFlight.counted >= this.window) throw new WindowFull(`window of ${this.window} is full`)
    this.#send(pdu, done, counts)
  }

  /** Sends what has no response. Says whether the state allowed it; throws PduError as request() does. */
  notify(pdu: Notice): boolean {
    if (this.#leaving || !isAllowed(pdu.command, this.#side, this.#state)) return false
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#outbox.add(pdu)
    return true
  }

  /** request() as a promise of the response, whatever its command_status. Throws SmppTimeout or SmppClosed. */
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
   * Answers a request of the peer; does nothing once the session is closed, nor to what has no response. A bind answered
   * with ESME_ROK is bound.
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

  /** Stops reading. What was read and not yet handed on is kept; the peer is not held to be silent meanwhile. */
  pause() {
    this.#inbox.pause()
  }

  resume() {
    if (!this.#inbox.paused) return
    this.#lastHeard = this.#clock.now()
    this.#inbox.resume()
    this.#arm()
  }

  /**
   * Leaves in order: takes no new requests, waits for those in flight (each has its deadline), unbinds and closes.
   * Resolves when the stream is closed, however that came about.
   */
  unbind(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  /** Ends the session at once; what is in flight ends as `closed`, and of it the system sends no more than it has. */
  destroy(reason = 'destroyed') {
    const isUnanswered = this.#inFlight.size > 0
    this.#close(reason)
    // closed in any other way, the system would go on offering what is written to a peer that does not take it
    if (isUnanswered && this.#stream instanceof Socket && !(this.#stream instanceof TLSSocket))
      this.#stream.resetAndDestroy()
    else this.#stream.destroy()
  }

  /** The peer unbinds: what is in flight has a moment to be answered, as an answer lost is a text in doubt. */
  #part(request: Unbind) {
    const finish = () => {
      this.#clock.clearTimeout(timer)
      this.respond(request)
      this.#end('peer unbound')
    }
    const timer = this.#clock.setTimeout(finish, LINGER_MS)
    if (this.#unbindSent || this.#inFlight.size === 0) return finish()
    const leave = this.#whenIdle
    this.#leaving ??= this.#streamClosed()
    this.#whenIdle = () => {
      finish()
      leave?.()
    }
  }

  #streamClosed(): Promise<void> {
    if (this.#stream.closed) return Promise.resolve()
    return new Promise((resolve) => this.#stream.once('close', () => resolve()))
  }

  async #leave() {
    const streamClosed = this.#streamClosed()
    if (this.bound && this.#inFlight.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
    this.#unbindSent = this.bound
    if (this.bound) this.#send(unbind(), () => this.#end('unbound'), false)
    else this.#end('unbound')
    await streamClosed
  }

  #send(pdu: RequestPdu, done: OnOutcome, counts: boolean) {
    pdu.sequence_number = this.#inFlight.nextSequenceNumber()
    this.#outbox.add(pdu, counts)
    const writtenAt = this.#clock.now()
    this.#inFlight.add(pdu, done, { writtenAt, deadline: writtenAt + this.responseDeadlineMs }, counts)
    if (this.#inFlight.size === 1) this.#arm()
  }

  #handleFrame(frame: Buffer) {
    let pdu: Pdu
    try {
      pdu = decodePdu(frame)
    } catch (error) {
      if (!(error instanceof PduError)) throw error
      // NOTE: a nack of what claims to be a response would answer the peer's own request of that number.
      if (frame.readUInt32BE(COMMAND_ID_AT) < FIRST_RESPONSE_ID) this.#refuse(error)
      return
    }
    if (isResponse(pdu)) this.#handleResponse(pdu)
    else this.#handleRequest(pdu)
  }

  /** A body at fault is refused by the command's own response, anything worse by generic_nack (§4.3). */
  #refuse(error: PduError) {
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
    else if (request.command === 'unbind') this.#part(request)
    else if (!this.emit('request', request) && !isNotice(request)) {
      // Nobody to take it: a status that makes an SMSC try again later.
      this.respond(request, { command_status: commandStatus.ESME_RX_T_APPN })
    }
  }

  #bind(side: Side, state: BoundState) {
    this.#side = side
    this.#state = state
    this.#arm()
  }

  #settle(pending: Pending, outcome: Outcome) {
    if (pending.counts) this.#freed = true
    pending.done(outcome)
    if (this.#inFlight.size === 0) this.#whenIdle?.()
  }

  #tellDrain() {
    if (!this.#freed) return
    this.#freed = false
    this.emit('drain')
  }

  /** Stops reading while the peer does not take what we answer, and goes on when it does. */
  #breathe() {
    this.#inbox.choke(this.#outbox.backlog > BACKLOG_LIMIT)
  }

  // One alarm per session, on whichever comes first: the oldest request's deadline, or the peer's silence.
  #arm() {
    if (this.#state === 'closed') return
    const oldest = this.#inFlight.oldest
    if (oldest) this.#alarm.setFor(oldest.deadline)
    if (this.#listening) this.#alarm.setFor(this.#lastHeard + this.enquireLinkMs)
  }

  get #listening(): boolean {
    return this.bound && !this.#enquiring && !this.#inbox.paused
  }

  #tick() {
    const now = this.#clock.now()
    for (let late = this.#inFlight.takeOverdue(now); late; late = this.#inFlight.takeOverdue(now)) {
      if (this.#lastHeard <= late.writtenAt && !this.#inbox.paused) this.#doubted = true
      this.#settle(late, { kind: 'timeout' })
    }
    const isSilent = (this.#doubted && !this.#leaving) || now - this.#lastHeard >= this.enquireLinkMs
    if (this.#listening && isSilent) this.#enquire()
    this.#tellDrain()
    this.#arm()
  }

  #enquire() {
    const asked = this.#clock.now()
    this.#enquiring = true
    this.#send(
      enquireLink(),
      (outcome) => {
        this.#enquiring = false
        if (outcome.kind === 'timeout' && this.#lastHeard <= asked && !this.#inbox.paused) this.destroy('silent')
        else this.#arm()
      },
      false,
    )
  }

  /** Closes in good order: what is written leaves, and the peer has a moment to close its side. */
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
    this.#alarm.clear()
    this.#inbox.close()
    for (const { done, ordinal } of this.#inFlight.takeAll()) {
      done({ kind: 'closed', sent: ordinal <= this.#sentOrdinal, reason })
    }
    this.#whenIdle?.()
    this.emit('close', reason)
  }
}

function usesWindowSlot(command: RequestCommand): boolean {
  return command === 'submit_sm' || command === 'deliver_sm' || command === 'data_sm' || command === 'submit_multi'
}
