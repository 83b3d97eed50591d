import type { Connection } from '../connections/connection.ts'
import { loadConnections } from '../connections/connections.ts'
import { listRouteTable } from '../connections/route-table.queries.ts'
import { Repeater } from '../lib/repeater.ts'
import type { Runtime } from '../runtime.ts'
import { Line, type LineEvents } from './line.ts'
import { Routes } from './routes.ts'
import { Slots } from './slots.ts'

export type LinesOptions = { rt: Runtime; gateway: string; leaseMs: number; responseDeadlineMs: number }

/** How often we look whether connections or routes have changed without a notice. */
const followMs = 1_000

/** All lines of this gateway, kept equal to the rows that an operator edits: connections, their slots, the routes. */
export class Lines {
  readonly routes: Routes
  readonly #options: LinesOptions
  readonly #events: LineEvents
  readonly #lines = new Map<number, Line>()
  readonly #slots: Slots
  readonly #following: Repeater
  readonly #leasing: Repeater
  readonly #toldUnusable = new Map<number, string>()

  constructor(options: LinesOptions, events: LineEvents) {
    const { rt, gateway, leaseMs } = options
    this.#options = options
    this.#events = {
      ...events,
      onChange: () => {
        this.#leasing.now()
        events.onChange()
      },
    }
    this.routes = new Routes(this.#lines)
    this.#slots = new Slots({ db: rt.db, log: rt.log, gateway, leaseMs, lines: this.#lines })
    const repeat = (work: () => Promise<unknown>, pauseMs: number, what: string) =>
      new Repeater(work, pauseMs, (error) => rt.log.warn({ err: error }, `could not ${what}, trying again`))
    this.#following = repeat(() => this.#follow(), followMs, 'read connections')
    this.#leasing = repeat(() => this.#slots.turn(), leaseMs / 5, 'lease bind slots')
  }

  start(): void {
    this.#following.start()
    this.#leasing.start()
  }

  /** Connections, routes or slots have changed: looks at once. */
  look(): void {
    this.#following.now()
    this.#leasing.now()
  }

  /** Unbinds in order; what is in flight gets its time to be answered. */
  async stop(): Promise<void> {
    await Promise.all([this.#following.stop(), this.#leasing.stop()])
    await this.#slots.stop()
    await Promise.all([...this.#lines.values()].map((line) => line.left()))
  }

  /** Slots that are bound. */
  get bound(): number {
    let bound = 0
    for (const line of this.#lines.values()) bound += line.bound
    return bound
  }

  get all(): Iterable<Line> {
    return this.#lines.values()
  }

  async #follow(): Promise<void> {
    const { rt } = this.#options
    const [connections, routes] = [await this.#load(), await listRouteTable(rt.db)]
    let hasChanged = false
    for (const connection of connections) {
      const line = this.#lines.get(connection.id)
      if (line) hasChanged = line.apply(connection) || hasChanged
      else if (connection.enabled) {
        this.#lines.set(connection.id, this.#newLine(connection))
        hasChanged = true
      }
    }
    for (const [id, line] of this.#lines) {
      if (connections.some((connection) => connection.id === id)) continue
      if (line.connection.enabled) line.apply({ ...line.connection, enabled: false })
      else if (line.owned === 0) this.#lines.delete(id)
    }
    this.routes.set(
      routes,
      connections.filter((connection) => connection.servesAll).map((connection) => connection.id),
    )
    if (hasChanged) {
      await this.#slots.make()
      this.#leasing.now()
    }
  }

  async #load(): Promise<Connection[]> {
    const { log } = this.#options.rt
    return loadConnections(this.#options.rt, ({ id, name }, why) => {
      if (this.#toldUnusable.get(id) === why) return
      this.#toldUnusable.set(id, why)
      log.error({ connection: name }, why)
    })
  }

  #newLine(connection: Connection): Line {
    const { rt, leaseMs, responseDeadlineMs } = this.#options
    return new Line(connection, { leaseMs, responseDeadlineMs, log: rt.log, events: this.#events })
  }
}
