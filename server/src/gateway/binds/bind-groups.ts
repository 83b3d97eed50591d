import type { Connection } from '../../connections/connection.ts'
import { loadConnections } from '../../connections/connections.ts'
import { listAllSendingRoutes, listShortCodeCaps } from '../../connections/sending-routes.queries.ts'
import { Repeater } from '../../lib/repeater.ts'
import type { Runtime } from '../../runtime.ts'
import { Caps, carrierCap, connectionCap, shortCodeCap } from '../caps/caps.ts'
import { shareTable } from '../caps/shares.queries.ts'
import { Shares } from '../caps/shares.ts'
import { leaseTiming, timing } from '../timing.ts'
import { BindGroup, type BindGroupEvents } from './bind-group.ts'
import { BindSlots } from './bind-slots.ts'
import { SendingRoutes } from './sending-routes.ts'

const { followMs } = timing

export type BindGroupsOptions = { rt: Runtime; gateway: string; leaseMs: number; responseDeadlineMs: number }

export type BindGroupsEvents = BindGroupEvents & {
  /** A share of a cap has grown. */
  onShareGrown(): void
}

/** All bind groups of this gateway. It follows the rows that an operator edits: connections, sending routes and caps. */
export class BindGroups {
  readonly routes: SendingRoutes
  readonly #options: BindGroupsOptions
  readonly #events: BindGroupEvents
  readonly #groups = new Map<number, BindGroup>()
  readonly #slots: BindSlots
  readonly #caps = new Caps()
  readonly #shares: Shares
  #shortCodeCaps: Array<{ shortCodeId: number; mps: number }> = []
  readonly #reading: Repeater
  readonly #leasing: Repeater
  // by connection: the last logged reason why it cannot be used
  readonly #loggedFaults = new Map<number, string>()
  // whether rows of bind slots may be missing, because a connection has changed
  #mustInsertSlots = false

  constructor(options: BindGroupsOptions, events: BindGroupsEvents) {
    const { rt, gateway, leaseMs } = options
    this.#options = options
    this.#events = {
      ...events,
      onChange: () => {
        this.#leasing.now()
        this.#updateCaps()
        events.onChange()
      },
    }
    this.routes = new SendingRoutes(this.#groups)
    this.#slots = new BindSlots({ db: rt.db, log: rt.log, gateway, leaseMs, groups: this.#groups })
    const table = shareTable(rt.db, gateway)
    this.#shares = new Shares(this.#caps, { table, gateway, leaseMs, log: rt.log, onGrow: events.onShareGrown })
    const repeat = (work: () => Promise<unknown>, pauseMs: number, what: string) =>
      new Repeater(work, pauseMs, (error) => rt.log.warn({ err: error }, `failed to ${what}, retrying`))
    this.#reading = repeat(() => this.#read(), followMs, 'read connections')
    this.#leasing = repeat(() => this.#slots.sync(), leaseTiming(leaseMs).renewEveryMs, 'lease bind slots')
  }

  start(): void {
    this.#reading.start()
    this.#leasing.start()
    this.#shares.start()
  }

  /** Reads connections and sending routes and synchronizes bind slots now, because a notice said that they have changed. */
  reload(): void {
    this.#reading.now()
    this.#leasing.now()
  }

  /** Waits for the responses to texts in flight, unbinds, and releases the bind slots and the shares of caps. */
  async stop(): Promise<void> {
    await Promise.all([this.#reading.stop(), this.#leasing.stop()])
    await this.#slots.stop()
    await Promise.all([...this.#groups.values()].map((group) => group.whenClosed()))
    await this.#shares.stop()
  }

  /** Number of bind slots that are bound. */
  get bound(): number {
    let bound = 0
    for (const group of this.#groups.values()) bound += group.bound
    return bound
  }

  /** Number of connections that are enabled. */
  get enabled(): number {
    let enabled = 0
    for (const group of this.#groups.values()) if (group.connection.enabled) enabled += 1
    return enabled
  }

  get all(): Iterable<BindGroup> {
    return this.#groups.values()
  }

  async #read(): Promise<void> {
    const { rt } = this.#options
    const [connections, routes] = [await this.#load(), await listAllSendingRoutes(rt.db)]
    this.#shortCodeCaps = await listShortCodeCaps(rt.db)
    for (const connection of connections) {
      const group = this.#groups.get(connection.id)
      if (group) this.#mustInsertSlots = group.apply(connection) || this.#mustInsertSlots
      else if (connection.enabled) {
        this.#groups.set(connection.id, this.#newGroup(connection))
        this.#mustInsertSlots = true
      }
    }
    for (const [id, group] of this.#groups) {
      if (connections.some((connection) => connection.id === id)) continue
      if (group.connection.enabled) group.apply({ ...group.connection, enabled: false })
      else if (group.slotCount === 0) this.#groups.delete(id)
    }
    this.routes.set(
      routes,
      connections.filter((connection) => connection.servesAll).map((connection) => connection.id),
      this.#shortCodeCaps.map(({ shortCodeId }) => shortCodeId),
    )
    this.#updateCaps()
    if (!this.#mustInsertSlots) return
    await this.#slots.insertMissing()
    this.#mustInsertSlots = false
    this.#leasing.now()
  }

  /** Sets all caps, and the ones that the bound groups can use. */
  #updateCaps(): void {
    const limits = new Map<string, number>()
    const usable = new Set<string>()
    const add = (cap: string, mps: number, isUsable: boolean) => {
      limits.set(cap, mps)
      if (isUsable) usable.add(cap)
    }
    for (const { connection, canTransmit } of this.#groups.values()) {
      const { id, mps, carrierMps } = connection
      if (mps !== null) add(connectionCap(id), mps, canTransmit)
      for (const [carrier, limit] of Object.entries(carrierMps)) add(carrierCap(id, carrier), limit, canTransmit)
    }
    for (const { shortCodeId, mps } of this.#shortCodeCaps) {
      add(shortCodeCap(shortCodeId), mps, this.routes.isBound(shortCodeId))
    }
    this.#shares.setLimits(limits, (cap) => usable.has(cap))
  }

  async #load(): Promise<Connection[]> {
    const { log } = this.#options.rt
    return loadConnections(this.#options.rt, ({ id, name }, reason) => {
      if (this.#loggedFaults.get(id) === reason) return
      this.#loggedFaults.set(id, reason)
      log.error({ connection: name }, reason)
    })
  }

  #newGroup(connection: Connection): BindGroup {
    const { rt, leaseMs, responseDeadlineMs } = this.#options
    return new BindGroup(connection, {
      caps: this.#caps,
      leaseMs,
      responseDeadlineMs,
      log: rt.log,
      events: this.#events,
    })
  }
}
