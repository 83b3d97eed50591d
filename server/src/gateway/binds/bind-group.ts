import type { Logger } from 'pino'
import type { Connection } from '../../connections/connection.ts'
import type { Recipient } from '../../log/chunk.ts'
import type { OnOutcome } from '../../smpp/in-flight.ts'
import type { DataSm, DeliverSm, QuerySm, ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import type { Session } from '../../smpp/session.ts'
import { type CapSet, type Caps, carrierCap, connectionCap, shortCodeCap } from '../caps/caps.ts'
import { leaseTiming } from '../timing.ts'
import { bindKeyOf } from './bind-key.ts'
import { LateArrivals } from './late-arrivals.ts'
import { SlotBind } from './slot-bind.ts'
import { WindowSlots } from './window-slots.ts'

export type BindGroupEvents = {
  /** Window slots of this group became free, or one of its binds was opened. */
  onFree(group: BindGroup): void
  /** A bind slot became bound or unbound. */
  onChange(): void
  onDeliver(connection: Connection, session: Session, pdu: DeliverSm | DataSm): void
  /** The response to a submit_sm arrived after its deadline. */
  onLate(request: SubmitSm, response: ResponsePdu): void
}

export type BindGroupOptions = {
  caps: Caps
  responseDeadlineMs: number
  leaseMs: number
  log: Logger
  events: BindGroupEvents
}

/** The binds that this gateway has at one connection: one, or a pair, for each bind slot that it leases. */
export class BindGroup {
  connection: Connection
  readonly #options: BindGroupOptions
  readonly #binds = new Map<number, SlotBind>()
  // removed from #binds, but not closed yet
  readonly #closing = new Set<SlotBind>()
  readonly #reserveMs: number
  readonly #lateArrivals = new LateArrivals()
  readonly windowSlots: WindowSlots

  constructor(connection: Connection, options: BindGroupOptions) {
    this.connection = connection
    this.#options = options
    this.#reserveMs = leaseTiming(options.leaseMs).reserveMs
    this.windowSlots = new WindowSlots(this)
  }

  /** The leased bind slots, without those that are closing. */
  get slots(): Iterable<SlotBind> {
    return this.#binds.values()
  }

  get slotCount(): number {
    return this.#binds.size
  }

  /** Binds a slot that is leased until this time (monotonic milliseconds). */
  addSlot(slot: number, leaseUntil: number): void {
    if (this.#binds.has(slot)) return
    this.#binds.set(slot, this.#bind(slot, leaseUntil))
  }

  /** Stops the submission through a slot, waits for the responses to texts in flight, and unbinds. */
  async closeSlot(slot: number): Promise<void> {
    const bind = this.#binds.get(slot)
    if (!bind) return
    this.#binds.delete(slot)
    await this.#close(bind)
  }

  /** Ends the sessions of a slot immediately, because another gateway has leased it. */
  dropSlot(slot: number): void {
    const bind = this.#binds.get(slot)
    this.#binds.delete(slot)
    void bind?.destroy()
  }

  /**
   * Applies changed settings and returns whether any changed. Settings that require a new bind are applied by opening new binds;
   * the old ones close when texts in flight have their responses.
   */
  apply(connection: Connection): boolean {
    const before = this.connection
    if (connection.version === before.version && connection.enabled === before.enabled) return false
    this.connection = connection
    if (bindKeyOf(connection) !== bindKeyOf(before)) {
      for (const [slot, bind] of [...this.#binds]) {
        this.#binds.set(slot, this.#bind(slot, bind.leaseUntil))
        void this.#close(bind)
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

  /** Resolves when all closing binds are closed. */
  async whenClosed(): Promise<void> {
    await Promise.all([...this.#closing].map((bind) => bind.close()))
  }

  get #responseDeadlineMs(): number {
    return this.connection.responseDeadlineMs ?? this.#options.responseDeadlineMs
  }

  /** Number of slots that are bound, including receivers. */
  get bound(): number {
    let bound = 0
    for (const bind of this.#binds.values()) if (bind.bound) bound++
    return bound
  }

  /** Whether one of the binds can transmit, now or when a window slot becomes free. */
  get canTransmit(): boolean {
    for (const bind of this.#binds.values()) if (bind.transmitting) return true
    return false
  }

  /** Whether new texts should use this group now: it is bound, and its window is not presumed dead. */
  isUsable(now: number): boolean {
    if (!this.#canTransmitAt(now)) return false
    return this.freeAt(now) > 0 || !this.windowSlots.isDead(now)
  }

  #canTransmitAt(now: number): boolean {
    for (const bind of this.#binds.values()) if (bind.transmitting && this.#isLeased(bind, now)) return true
    return false
  }

  /** Window slots of all binds, free or not. */
  get window(): number {
    let slots = 0
    for (const { transmitting } of this.#binds.values()) slots += transmitting?.window ?? 0
    return slots
  }

  /** Window slots that await a response. */
  get inFlight(): number {
    let slots = 0
    for (const { transmitting } of this.#binds.values()) slots += transmitting?.inFlight ?? 0
    return slots
  }

  /** Free window slots of the binds whose leases allow a write at this time. */
  freeAt(now: number): number {
    let slots = 0
    for (const bind of this.#binds.values()) {
      if (bind.transmitting && this.#isLeased(bind, now)) slots += bind.transmitting.free
    }
    return slots
  }

  /** The carrier of this recipient's phone if the connection has a cap for that carrier, otherwise undefined. */
  carrierOf({ carrier }: Recipient): string | undefined {
    return carrier !== undefined && carrier in this.connection.carrierMps ? carrier : undefined
  }

  /** Whether texts must be marked separately by carrier, because carriers have caps. */
  get needsCarriers(): boolean {
    return Object.keys(this.connection.carrierMps).length > 0
  }

  /** The caps that apply to texts from this short code, through this group, to phones of this carrier. */
  capsFor(shortCodeId: number, carrier?: string): CapSet {
    const { id } = this.connection
    const keys = [connectionCap(id), shortCodeCap(shortCodeId)]
    if (carrier !== undefined) keys.push(carrierCap(id, carrier))
    return this.#options.caps.of(...keys)
  }

  /** Our share of the connection's cap, in submit_sm per second; infinity without a cap. */
  get pace(): number {
    return this.#options.caps.get(connectionCap(this.connection.id))?.limit ?? Number.POSITIVE_INFINITY
  }

  /** Reserves window slots and the same number of tokens of each cap. */
  reserve(slots: number, caps: CapSet): void {
    this.windowSlots.reserve(slots)
    caps.reserve(slots)
  }

  /** Releases reserved window slots and tokens that were not used. */
  release(slots: number, caps: CapSet): void {
    this.windowSlots.release(slots)
    caps.release(slots)
  }

  /** The bind with the most free window slots, so that all parts of a text use one bind, in order; undefined if all are full. */
  emptiest(): Session | undefined {
    const now = performance.now()
    let best: Session | undefined
    let bestFree = 0
    for (const bind of this.#binds.values()) {
      const session = bind.transmitting
      if (session && session.free > bestFree && this.#isLeased(bind, now)) {
        best = session
        bestFree = session.free
      }
    }
    return best
  }

  /** Sends a query_sm and returns its response; sends nothing and returns undefined while texts use all window slots. */
  async query(pdu: QuerySm): Promise<ResponsePdu | undefined> {
    if (this.windowSlots.free() < 2 && this.window > 1) return undefined
    const session = this.emptiest()
    return session?.send(pdu)
  }

  /**
   * Writes a PDU, using a reserved window slot and a token of each cap; the preferred bind is used if it has a free slot. Returns
   * false and writes nothing if no bind has a free slot. Throws PduError if the PDU cannot be encoded; the reserved slot and
   * tokens are used up even then.
   */
  submit(pdu: SubmitSm, caps: CapSet, preferred: Session | undefined, onOutcome: OnOutcome): boolean {
    const now = performance.now()
    const session = preferred && this.#canUse(preferred, now) ? preferred : this.emptiest()
    if (!session) return false
    caps.use(now)
    this.windowSlots.use(now, session.inFlight === 0)
    session.request(pdu, (outcome) => {
      if (outcome.kind === 'response') {
        const at = performance.now()
        this.windowSlots.noteResponse(now, at, outcome.pdu.command_status === 0)
        if (!caps.isUnlimited) this.#lateArrivals.note(now, at, caps)
      }
      onOutcome(outcome)
    })
    return true
  }

  #canUse(session: Session, now: number): boolean {
    if (session.free === 0) return false
    for (const bind of this.#binds.values()) if (bind.transmitting === session) return this.#isLeased(bind, now)
    return false
  }

  /** Whether the lease of the slot allows a write: its reserve has not begun. */
  #isLeased(bind: SlotBind, now: number): boolean {
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

  async #close(bind: SlotBind): Promise<void> {
    this.#closing.add(bind)
    await bind.close()
    this.#closing.delete(bind)
  }
}
