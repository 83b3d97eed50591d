import type { Logger } from 'pino'
import type { Connection } from '../../connections/connection.ts'
import type { Recipient } from '../../log/chunk.ts'
import type { OnOutcome } from '../../smpp/in-flight.ts'
import type { DataSm, DeliverSm, QuerySm, ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import type { Session } from '../../smpp/session.ts'
import { type CapSet, type Caps, carrierCap, connectionCap, shortCodeCap } from '../caps/caps.ts'
import { CarrierPace } from '../caps/carrier-pace.ts'
import { leaseTiming, timing } from '../timing.ts'
import { PlacesAhead, type WaitingText } from './places-ahead.ts'
import { SlotBind } from './slot-bind.ts'

const { deadWindowMs, lateArrivalMaxMs, sparseSlotMs, tokenReturnMs, urgentRecentMs } = timing

export type BindGroupEvents = {
  /** A place in a window or a bind came free: there may be something to send. */
  onFree(): void
  /** A slot is bound now, or no longer. */
  onChange(): void
  onDeliver(connection: Connection, session: Session, pdu: DeliverSm | DataSm): void
  /** The response to a submit_sm came after its deadline. */
  onLate(request: SubmitSm, response: ResponsePdu): void
}

export type BindGroupOptions = {
  caps: Caps
  responseDeadlineMs: number
  leaseMs: number
  log: Logger
  events: BindGroupEvents
}

/** Answers later than usual by more than this tell of a text that was long on its way, and at most by so much. */
const bunchMs = tokenReturnMs - 1_000
/** What of a window broadcasts leave to urgent texts, for so long after the last of these. */
const urgentShare = 0.1

/**
 * What this gateway has of one connection: the binds of its slots as one window. Places are reserved before rows are
 * marked, so that a marked row always finds somewhere to go.
 */
export class BindGroup {
  connection: Connection
  readonly #options: BindGroupOptions
  readonly #binds = new Map<number, SlotBind>()
  readonly #leaving = new Set<SlotBind>()
  readonly #reserveMs: number
  #reserved = 0
  #answeredAt = 0
  // the median of the times from a text to its answer
  #usualTripMs: number | undefined
  #urgentAt = Number.NEGATIVE_INFINITY
  // how long an answer takes, on average
  #latencyMs = 0
  readonly #slowDown = new CarrierPace()
  readonly #ahead = new PlacesAhead()
  /** Places that are too few for a full mark have waited long enough for company. */
  impatient = false

  constructor(connection: Connection, options: BindGroupOptions) {
    this.connection = connection
    this.#options = options
    this.#reserveMs = leaseTiming(options.leaseMs).reserveMs
  }

  /** The slots that are ours, those that are being given up left out. */
  get slots(): Iterable<SlotBind> {
    return this.#binds.values()
  }

  get owned(): number {
    return this.#binds.size
  }

  /** A slot is ours, up to this time (monotonic milliseconds): binds it. */
  take(slot: number, leaseUntil: number): void {
    if (this.#binds.has(slot)) return
    this.#binds.set(slot, this.#bind(slot, leaseUntil))
  }

  /** Gives a slot up in order: takes no more texts, waits for the answers to those on their way, unbinds. */
  async giveUp(slot: number): Promise<void> {
    const bind = this.#binds.get(slot)
    if (!bind) return
    this.#binds.delete(slot)
    await this.#leave(bind)
  }

  /** A slot is another gateway's by now: its sessions end at once. */
  lose(slot: number): void {
    const bind = this.#binds.get(slot)
    this.#binds.delete(slot)
    void bind?.abandon()
  }

  /**
   * Takes changed settings over, at once where the binds may stay, else by new binds beside the old ones; false when
   * there was nothing new.
   */
  apply(connection: Connection): boolean {
    const before = this.connection
    if (connection.version === before.version && connection.enabled === before.enabled) return false
    this.connection = connection
    if (bindingOf(connection) !== bindingOf(before)) {
      for (const [slot, bind] of [...this.#binds]) {
        this.#binds.set(slot, this.#bind(slot, bind.leaseUntil))
        void this.#leave(bind)
      }
      return true
    }
    const settings = {
      window: connection.window,
      responseDeadlineMs: this.#responseDeadlineMs,
      enquireLinkMs: connection.enquireLinkS * 1_000,
    }
    for (const bind of this.#binds.values()) bind.applySettings(settings)
    return true
  }

  /** Resolves when the binds that were given up or replaced are closed. */
  async left(): Promise<void> {
    await Promise.all([...this.#leaving].map((bind) => bind.leave()))
  }

  get #responseDeadlineMs(): number {
    return this.connection.responseDeadlineMs ?? this.#options.responseDeadlineMs
  }

  /** BindSlots that are bound, receivers included. */
  get bound(): number {
    let bound = 0
    for (const bind of this.#binds.values()) if (bind.bound) bound++
    return bound
  }

  /** Whether a text could be submitted at some time without a new bind. */
  get transmits(): boolean {
    for (const bind of this.#binds.values()) if (bind.transmitting) return true
    return false
  }

  /** Whether texts should take this way now: it is bound, and not dead for all that we see. */
  isUsable(now: number): boolean {
    let free = 0
    let transmits = false
    for (const bind of this.#binds.values()) {
      if (!bind.transmitting || !this.#isOurs(bind, now)) continue
      transmits = true
      free += bind.transmitting.free
    }
    return transmits && (free > 0 || now - this.#answeredAt < deadWindowMs)
  }

  /** All places there are, free or not. */
  get window(): number {
    let places = 0
    for (const { transmitting } of this.#binds.values()) places += transmitting?.window ?? 0
    return places
  }

  /** Places that wait for an answer. */
  get inFlight(): number {
    let places = 0
    for (const { transmitting } of this.#binds.values()) places += transmitting?.inFlight ?? 0
    return places
  }

  /** Places that can ever be free at once. */
  get capacity(): number {
    return Math.min(this.window, Math.floor(this.#slowDown.burst))
  }

  /** Places that are worth a mark of their own: one costs nearly the same for few rows as for many. */
  get worthwhile(): number {
    return Math.ceil(this.capacity / 4)
  }

  /**
   * Places that broadcasts leave free. Usually one comes free in no time and urgent texts have the first choice of it;
   * where that would take long, or while there are urgent texts, some are kept for them.
   */
  kept(now: number): number {
    const window = this.window
    if (window <= 1) return 0
    const isSparse = this.#latencyMs / window > sparseSlotMs
    return isSparse || now - this.#urgentAt < urgentRecentMs ? Math.max(1, Math.floor(window * urgentShare)) : 0
  }

  /** An urgent text goes this way. */
  noteUrgent(now: number): void {
    this.#urgentAt = now
  }

  /** The carrier asked us to come again later: from now on we go at the pace that it takes. */
  slowDown(): void {
    this.#slowDown.refused(performance.now())
  }

  /** Whether its carrier has asked us a moment ago to come again later. */
  get isSlowedDown(): boolean {
    return this.#slowDown.perSecond !== Number.POSITIVE_INFINITY
  }

  /** When there may be a place again of a line that was slowed down; in the past for any other. */
  freeAt(now: number): number {
    return this.#slowDown.freeAt(now)
  }

  /**
   * Places that can be reserved now by who is yet to be marked: those that will have come free by then are counted in,
   * and for urgent texts some more, which others then wait for. The caps have their own say.
   */
  freeToMark(caps: CapSet, isUrgent: boolean): number {
    const isHeldBack = !caps.isUnlimited || this.#slowDown.perSecond !== Number.POSITIVE_INFINITY
    const isAnswering = performance.now() - this.#answeredAt < this.#latencyMs
    if (isHeldBack || !isAnswering) return this.free()
    const window = this.window
    let ahead = this.#ahead.count(window, this.#latencyMs, this.worthwhile)
    if (ahead > 0 && isUrgent) ahead += Math.max(1, Math.floor(window * urgentShare))
    return Math.max(0, this.#places() + ahead)
  }

  /** Places that can be reserved now for texts that may be written at once. */
  free(): number {
    return Math.max(0, Math.min(this.#places(), this.#slowDown.free(performance.now())))
  }

  /** Places less those that are reserved: fewer than none while texts wait for theirs. */
  #places(): number {
    const now = performance.now()
    let places = -this.#reserved
    for (const bind of this.#binds.values()) {
      if (bind.transmitting && this.#isOurs(bind, now)) places += bind.transmitting.free
    }
    return places
  }

  /** The carrier of this recipient's handset, where this connection has a cap for it. */
  carrierOf({ carrier }: Recipient): string | undefined {
    return carrier !== undefined && carrier in this.connection.carrierMps ? carrier : undefined
  }

  /** Whether it must be known whose handset a text is for. */
  get asksForCarriers(): boolean {
    return Object.keys(this.connection.carrierMps).length > 0
  }

  /** The caps that texts of this short code are under, by this line and to handsets of this carrier. */
  capsFor(shortCodeId: number, carrier?: string): CapSet {
    const { id } = this.connection
    const keys = [connectionCap(id), shortCodeCap(shortCodeId)]
    if (carrier !== undefined) keys.push(carrierCap(id, carrier))
    return this.#options.caps.of(...keys)
  }

  /** Texts a second that its own cap lets us write. */
  get pace(): number {
    return this.#options.caps.get(connectionCap(this.connection.id))?.limit ?? Number.POSITIVE_INFINITY
  }

  /** Takes so many places, and as many tokens of the caps. */
  reserve(places: number, caps: CapSet): void {
    this.#reserved += places
    this.#slowDown.take(places)
    caps.reserve(places)
  }

  release(places: number, caps: CapSet): void {
    this.#reserved -= places
    this.#slowDown.giveBack(places)
    caps.release(places)
  }

  /** The bind with the emptiest window, for all parts of a text to go the same way, in order. */
  emptiest(): Session | undefined {
    const now = performance.now()
    let best: Session | undefined
    let bestFree = 0
    for (const bind of this.#binds.values()) {
      const session = bind.transmitting
      if (session && session.free > bestFree && this.#isOurs(bind, now)) {
        best = session
        bestFree = session.free
      }
    }
    return best
  }

  /** Asks something beside the texts; undefined, and nothing asked, while these have taken all the room there is. */
  async ask(question: QuerySm): Promise<ResponsePdu | undefined> {
    if (this.free() < 2 && this.window > 1) return undefined
    const session = this.emptiest()
    return session?.send(question)
  }

  /** Rows whose places were reserved took so long to be marked. */
  noteMarking(ms: number): void {
    this.#ahead.noteMarking(ms)
  }

  /** A text that was marked ahead of its place waits for it. */
  wait(text: WaitingText): void {
    this.#ahead.add(text)
  }

  /** Writes into a reserved place, of this bind if it has one free; false, and nothing written, when none has. */
  submit(pdu: SubmitSm, caps: CapSet, preferred: Session | undefined, done: OnOutcome): boolean {
    const now = performance.now()
    const session = preferred && this.#mayTake(preferred, now) ? preferred : this.emptiest()
    if (!session) return false
    this.#reserved--
    caps.use(now)
    if (session.inFlight === 0) this.#answeredAt = now
    session.request(pdu, (outcome) => {
      if (outcome.kind === 'response') {
        const at = performance.now()
        this.#answeredAt = at
        this.#latencyMs += (at - now - this.#latencyMs) / 16
        if (outcome.pdu.command_status === 0) this.#slowDown.accepted(at)
        if (!caps.isUnlimited) this.#noteTrip(now, at, caps)
      }
      done(outcome)
    })
    return true
  }

  /** An answer that took longer than they do says that its text, and those behind it, may have arrived that late. */
  #noteTrip(writtenAt: number, answeredAt: number, caps: CapSet): void {
    const trip = answeredAt - writtenAt
    this.#usualTripMs ??= trip
    const late = Math.min(trip - this.#usualTripMs, lateArrivalMaxMs)
    this.#usualTripMs += Math.sign(late) * (0.05 + this.#usualTripMs / 200)
    if (late > bunchMs) caps.noteBunch(writtenAt, writtenAt + late)
  }

  #mayTake(session: Session, now: number): boolean {
    if (session.free === 0) return false
    for (const bind of this.#binds.values()) if (bind.transmitting === session) return this.#isOurs(bind, now)
    return false
  }

  #isOurs(bind: SlotBind, now: number): boolean {
    return now < bind.leaseUntil - this.#reserveMs
  }

  #bind(slot: number, leaseUntil: number): SlotBind {
    const { log, events } = this.#options
    const bind = new SlotBind(this.connection, { slot, leaseUntil }, this.#responseDeadlineMs, log, {
      onFree: () => {
        this.#ahead.fill(() => this.emptiest() !== undefined)
        events.onFree()
      },
      onChange: events.onChange,
      onDeliver: (session, pdu) => events.onDeliver(this.connection, session, pdu),
      onLate: events.onLate,
    })
    bind.start()
    return bind
  }

  async #leave(bind: SlotBind): Promise<void> {
    this.#leaving.add(bind)
    await bind.leave()
    this.#leaving.delete(bind)
  }
}

/** What a bind is made with: when it changes, only a new bind will do. */
function bindingOf(connection: Connection): string {
  const { host, port, tls, tlsCa, tlsServerName, tlsCertificate, systemId, systemType, bindType } = connection
  const secrets = [connection.password.reveal(), connection.tlsKey?.reveal()]
  return JSON.stringify([
    host,
    port,
    tls,
    tlsCa,
    tlsServerName,
    tlsCertificate,
    systemId,
    systemType,
    bindType,
    secrets,
  ])
}
