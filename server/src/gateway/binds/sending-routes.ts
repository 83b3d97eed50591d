import type { ShortCodeSendingRoute } from '../../connections/sending-routes.queries.ts'
import type { Line } from './bind-group.ts'

type Route = { connectionId: number; tier: number; weight: number; turn: number; wasUsable: boolean }

/** Short codes that can be sent from: only these, or all but these. */
export type SendableCodes = { allBut: boolean; ids: number[] }

/** One without routes or caps of its own. */
const noShortCode = 0

/**
 * Chooses the line for a short code's next texts: of the lowest tier that has a usable one, each line in proportion to
 * its weight. A line that is lost is passed over, and is used again when it is back; so is one that can take no more for
 * now, by a cap or because its carrier is slow.
 */
export class Routes {
  readonly #lines: ReadonlyMap<number, Line>
  #ofCodes = new Map<number, Route[]>()
  #forAll: Route[] = []
  // of which short codes there are caps
  #capped: number[] = []

  constructor(lines: ReadonlyMap<number, Line>) {
    this.#lines = lines
  }

  /** Takes the routes over as they are now, and which connections serve all short codes without routes. */
  set(table: ShortCodeSendingRoute[], servingAll: number[], capped: number[]): void {
    const before = this.#ofCodes
    const ofCodes = new Map<number, Route[]>()
    for (const row of table) {
      const routes = ofCodes.get(row.shortCodeId) ?? []
      ofCodes.set(row.shortCodeId, routes)
      routes.push(keep(before.get(row.shortCodeId), row))
    }
    this.#ofCodes = ofCodes
    this.#capped = capped
    this.#forAll = servingAll.map((connectionId) => keep(this.#forAll, { connectionId, tier: 0, weight: 1 }))
  }

  /**
   * The lines that the next texts of this short code may take, that whose turn it is before those that stand in for it;
   * none while there is none to be used.
   */
  inTurn(shortCodeId: number, now: number): Line[] {
    const routes = this.#routesOf(shortCodeId)
    const usable: Array<{ line: Line; route: Route }> = []
    for (const route of routes) {
      // they stand in the order of their tiers
      if (usable[0] && route.tier > usable[0].route.tier) break
      const line = this.#lines.get(route.connectionId)
      const isUsable = (line?.isUsable(now) && !line.capsFor(shortCodeId).isClosed) ?? false
      if (isUsable && !route.wasUsable) route.turn = Math.max(route.turn, lowestTurn(routes, route))
      route.wasUsable = isUsable
      if (line && isUsable) usable.push({ line, route })
    }
    return usable.sort((a, b) => a.route.turn - b.route.turn).map(({ line }) => line)
  }

  /** Counts texts that took this line, for the weights. Those that it stood in for have nothing to make up for. */
  count(shortCodeId: number, line: Line, texts: number, passedOver: readonly Line[] = []): void {
    const routes = this.#routesOf(shortCodeId)
    const routeOf = ({ connection }: Line) => routes.find((each) => each.connectionId === connection.id)
    const route = routeOf(line)
    if (!route) return
    for (const each of passedOver) {
      const other = routeOf(each)
      if (other) other.turn = Math.max(other.turn, route.turn)
    }
    route.turn += texts / route.weight
  }

  /** Whether any line of this short code is bound for sending. */
  isBound(shortCodeId: number): boolean {
    return this.#linesOf(shortCodeId).some((line) => line.transmits)
  }

  /** Whether any line of this short code is bound for sending, and has a share of its caps. */
  canSend(shortCodeId: number): boolean {
    return this.#linesOf(shortCodeId).some((line) => line.transmits && !line.capsFor(shortCodeId).isClosed)
  }

  /** Texts a second that the caps of all bound lines let us write. */
  get pace(): number {
    let pace = 0
    for (const line of this.#lines.values()) if (line.transmits) pace += line.pace
    return pace
  }

  /** Whether any line of this short code has caps for carriers. */
  asksForCarriers(shortCodeId: number): boolean {
    return this.#linesOf(shortCodeId).some((line) => line.asksForCarriers)
  }

  /** The short codes of which canSend is true; undefined when there are none. */
  sendable(): SendableCodes | undefined {
    const allBut = this.canSend(noShortCode)
    const ids = [...new Set([...this.#ofCodes.keys(), ...this.#capped])].filter((id) => this.canSend(id) !== allBut)
    return allBut || ids.length > 0 ? { allBut, ids } : undefined
  }

  #linesOf(shortCodeId: number): Line[] {
    return this.#routesOf(shortCodeId)
      .map((route) => this.#lines.get(route.connectionId))
      .filter((line) => line !== undefined)
  }

  #routesOf(shortCodeId: number): Route[] {
    return this.#ofCodes.get(shortCodeId) ?? this.#forAll
  }
}

function keep(before: Route[] | undefined, row: Pick<Route, 'connectionId' | 'tier' | 'weight'>): Route {
  const known = before?.find((route) => route.connectionId === row.connectionId)
  const { connectionId, tier, weight } = row
  if (!known) return { connectionId, tier, weight, turn: 0, wasUsable: false }
  return { ...known, tier, weight }
}

/** One that was away must not make up for it: it begins where the others are. */
function lowestTurn(routes: Route[], except: Route): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const route of routes) {
    if (route !== except && route.tier === except.tier && route.wasUsable) lowest = Math.min(lowest, route.turn)
  }
  return lowest === Number.POSITIVE_INFINITY ? 0 : lowest
}
