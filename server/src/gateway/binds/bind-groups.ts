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
  onShare(): void
}

/** All bind groups of this gateway, kept equal to the rows that an operator edits: connections, bind slots, sending routes. */
export class BindGroups {
  readonly routes: SendingRoutes
  readonly #options: BindGroupsOptions
  readonly #events: BindGroupEvents
  readonly #groups = new Map<number, BindGroup>()
  readonly #slots: BindSlots
  readonly #caps = new Caps()
  readonly #shares: Shares
  #shortCodeCaps: Array<{ shortCodeId: number; mps: number }> = []
  readonly #following: Repeater
  readonly #leasing: Repeater
  readonly #toldUnusable = new Map<number, string>()
  // a connection has changed, so rows of bind slots may be missing
  #mustMakeSlots = false

  constructor(options: BindGroupsOptions, events: BindGroupsEvents) {
    const { rt, gateway, leaseMs } = options
    this.#options = options
    this.#events = {
      ...events,
      onChange: () => {
        this.#leasing.now()
        this.#followCaps()
        events.onChange()
      },
    }
    this.routes = new SendingRoutes(this.#groups)
    this.#slots = new BindSlots({ db: rt.db, log: rt.log, gateway, leaseMs, groups: this.#groups })
    const table = shareTable(rt.db, gateway)
    this.#shares = new Shares(this.#caps, { table, gateway, leaseMs, log: rt.log, onGrow: events.onShare })
    const repeat = (work: () => Promise<unknown>, pauseMs: number, what: string) =>
      new Repeater(work, pauseMs, (error) => rt.log.warn({ err: error }, `failed to ${what}, retrying`))
    this.#following = repeat(() => this.#follow(), followMs, 'read connections')
    this.#leasing = repeat(() => this.#slots.turn(), leaseTiming(leaseMs).renewEveryMs, 'lease bind slots')
  }

  start(): void {
    this.#following.start()
    this.#leasing.start()
    this.#shares.start()
  }

  /** Connections, sending routes or bind slots have changed: reads them at once. */
  look(): void {
    this.#following.now()
    this.#leasing.now()
  }

  /** Unbinds in order, when the texts in flight have their responses. */
  async stop(): Promise<void> {
    await Promise.all([this.#following.stop(), this.#leasing.stop()])
    await this.#slots.stop()
    await Promise.all([...this.#groups.values()].map((group) => group.left()))
    await this.#shares.stop()
  }

  /** Bind slots that are bound. */
  get bound(): number {
    let bound = 0
    for (const group of this.#groups.values()) bound += group.bound
    return bound
  }

  /** Connections that are enabled. */
  get enabled(): number {
    let enabled = 0
    for (const group of this.#groups.values()) if (group.connection.enabled) enabled += 1
    return enabled
  }

  get all(): Iterable<BindGroup> {
    return this.#groups.values()
  }

  async #follow(): Promise<void> {
    const { rt } = this.#options
    const [connections, routes] = [await this.#load(), await listAllSendingRoutes(rt.db)]
    this.#shortCodeCaps = await listShortCodeCaps(rt.db)
    for (const connection of connections) {
      const group = this.#groups.get(connection.id)
      if (group) this.#mustMakeSlots = group.apply(connection) || this.#mustMakeSlots
      else if (connection.enabled) {
        this.#groups.set(connection.id, this.#newGroup(connection))
        this.#mustMakeSlots = true
      }
    }
    for (const [id, group] of this.#groups) {
      if (connections.some((connection) => connection.id === id)) continue
      if (group.connection.enabled) group.apply({ ...group.connection, enabled: false })
      else if (group.owned === 0) this.#groups.delete(id)
    }
    this.routes.set(
      routes,
      connections.filter((connection) => connection.servesAll).map((connection) => connection.id),
      this.#shortCodeCaps.map(({ shortCodeId }) => shortCodeId),
    )
    this.#followCaps()
    if (!this.#mustMakeSlots) return
    await this.#slots.make()
    this.#mustMakeSlots = false
    this.#leasing.now()
  }

  /** Reports all caps to the shares, and which of them the bound groups could use. */
  #followCaps(): void {
    const limits = new Map<string, number>()
    const ours = new Set<string>()
    const add = (cap: string, mps: number, isOurs: boolean) => {
      limits.set(cap, mps)
      if (isOurs) ours.add(cap)
    }
    for (const { connection, transmits } of this.#groups.values()) {
      const { id, mps, carrierMps } = connection
      if (mps !== null) add(connectionCap(id), mps, transmits)
      for (const [carrier, most] of Object.entries(carrierMps)) add(carrierCap(id, carrier), most, transmits)
    }
    for (const { shortCodeId, mps } of this.#shortCodeCaps) {
      add(shortCodeCap(shortCodeId), mps, this.routes.isBound(shortCodeId))
    }
    this.#shares.follow(limits, (cap) => ours.has(cap))
  }

  async #load(): Promise<Connection[]> {
    const { log } = this.#options.rt
    return loadConnections(this.#options.rt, ({ id, name }, why) => {
      if (this.#toldUnusable.get(id) === why) return
      this.#toldUnusable.set(id, why)
      log.error({ connection: name }, why)
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
