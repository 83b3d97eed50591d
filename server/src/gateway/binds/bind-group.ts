import type { Logger } from 'pino'
import type { Connection } from '../../connections/connection.ts'
import type { Recipient } from '../../log/chunk.ts'
import type { OnOutcome } from '../../smpp/in-flight.ts'
import type { DataSm, DeliverSm, QuerySm, ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import type { Session } from '../../smpp/session.ts'
import { type CapSet, type Caps, carrierCap, connectionCap, shortCodeCap } from '../caps/caps.ts'
import { leaseTiming } from '../timing.ts'
import { bindingOf } from './binding.ts'
import { LateArrivals } from './late-arrivals.ts'
import { SlotBind } from './slot-bind.ts'
import { WindowSlots } from './window-slots.ts'

export type BindGroupEvents = {
  /** Window slots of this group came free, or one of its binds. */
  onFree(group: BindGroup): void
  /** A bind slot is bound now, or no longer. */
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

/** The binds that this gateway has of one connection, one for each bind slot that it owns. */
export class BindGroup {
  connection: Connection
  readonly #options: BindGroupOptions
  readonly #binds = new Map<number, SlotBind>()
  readonly #leaving = new Set<SlotBind>()
  readonly #reserveMs: number
  readonly #lateArrivals = new LateArrivals()
  readonly windowSlots: WindowSlots

  constructor(connection: Connection, options: BindGroupOptions) {
    this.connection = connection
    this.#options = options
    this.#reserveMs = leaseTiming(options.leaseMs).reserveMs
    this.windowSlots = new WindowSlots(this)
  }

  /** The bind slots that are ours, without those that are being given up. */
  get slots(): Iterable<SlotBind> {
    return this.#binds.values()
  }

  get owned(): number {
    return this.#binds.size
  }

  /** A bind slot is ours up to this time (monotonic milliseconds): binds it. */
  take(slot: number, leaseUntil: number): void {
    if (this.#binds.has(slot)) return
    this.#binds.set(slot, this.#bind(slot, leaseUntil))
  }

  /** Gives a bind slot up in order: takes no more texts, waits for the responses to those in flight, unbinds. */
  async unbind(slot: number): Promise<void> {
    const bind = this.#binds.get(slot)
    if (!bind) return
    this.#binds.delete(slot)
    await this.#leave(bind)
  }

  /** A bind slot is another gateway's by now: its sessions end at once. */
  lose(slot: number): void {
    const bind = this.#binds.get(slot)
    this.#binds.delete(slot)
    void bind?.abandon()
  }

  /**
   * Applies changed settings, at once where the binds may stay, else by new binds beside the old ones; false when nothing
   * changed.
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

  /** Whether texts should take this way now: it is bound, and its window is not presumed dead. */
  isUsable(now: number): boolean {
    if (!this.#maySubmit(now)) return false
    return this.freeAt(now) > 0 || !this.windowSlots.isDead(now)
  }

  #maySubmit(now: number): boolean {
    for (const bind of this.#binds.values()) if (bind.transmitting && this.#isOurs(bind, now)) return true
    return false
  }

  /** Window slots of all binds, free or not. */
  get window(): number {
    let slots = 0
    for (const { transmitting } of this.#binds.values()) slots += transmitting?.window ?? 0
    return slots
  }

  /** Window slots that wait for a response. */
  get inFlight(): number {
    let slots = 0
    for (const { transmitting } of this.#binds.values()) slots += transmitting?.inFlight ?? 0
    return slots
  }

  /** Free window slots of the binds that are surely ours at this time. */
  freeAt(now: number): number {
    let slots = 0
    for (const bind of this.#binds.values()) {
      if (bind.transmitting && this.#isOurs(bind, now)) slots += bind.transmitting.free
    }
    return slots
  }

  /** The carrier of this recipient's handset, where this connection has a cap for it. */
  carrierOf({ carrier }: Recipient): string | undefined {
    return carrier !== undefined && carrier in this.connection.carrierMps ? carrier : undefined
  }

  /** Whether texts are marked by the carriers of their handsets, because carriers have caps. */
  get needsCarriers(): boolean {
    return Object.keys(this.connection.carrierMps).length > 0
  }

  /** The caps that texts of this short code are under, by this group and to handsets of this carrier. */
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

  /** Reserves window slots, and as many tokens of the caps. */
  reserve(slots: number, caps: CapSet): void {
    this.windowSlots.reserve(slots)
    caps.reserve(slots)
  }

  /** Gives back window slots and tokens that were not used. */
  release(slots: number, caps: CapSet): void {
    this.windowSlots.release(slots)
    caps.release(slots)
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

  /** Sends a query_sm beside the texts; undefined, and nothing sent, while texts take all window slots. */
  async query(pdu: QuerySm): Promise<ResponsePdu | undefined> {
    if (this.windowSlots.free() < 2 && this.window > 1) return undefined
    const session = this.emptiest()
    return session?.send(pdu)
  }

  /**
   * Writes into a reserved window slot, of the preferred bind if that has a free one; false, and nothing written, when no bind
   * has one. Throws PduError for a PDU that cannot be encoded; the reservation is used up then.
   */
  submit(pdu: SubmitSm, caps: CapSet, preferred: Session | undefined, onOutcome: OnOutcome): boolean {
    const now = performance.now()
    const session = preferred && this.#mayTake(preferred, now) ? preferred : this.emptiest()
    if (!session) return false
    caps.use(now)
    this.windowSlots.use(now, session.inFlight === 0)
    session.request(pdu, (outcome) => {
      if (outcome.kind === 'response') {
        const at = performance.now()
        this.windowSlots.responded(now, at, outcome.pdu.command_status === 0)
        if (!caps.isUnlimited) this.#lateArrivals.note(now, at, caps)
      }
      onOutcome(outcome)
    })
    return true
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
      onFree: () => events.onFree(this),
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
