import type { ShortCodeSendingRoute } from '../../connections/sending-routes.queries.ts'
import type { BindGroup } from './bind-group.ts'

/** `progress` is the number of texts sent so far divided by the weight; the route with the lowest one is next. */
type SendingRoute = { connectionId: number; tier: number; weight: number; progress: number; wasUsable: boolean }

/** Short codes that can be sent from: only these ids, or all but these. */
export type SendableCodes = { allBut: boolean; ids: number[] }

/** An id that stands for all short codes without routes or caps of their own. */
const noShortCode = 0

/**
 * Chooses the bind group for a short code's next texts. Groups of the lowest tier with a usable group are chosen in proportion to
 * their weights. A group is passed over while it is unbound, or full because of a cap or its carrier's pace.
 */
export class SendingRoutes {
  readonly #groups: ReadonlyMap<number, BindGroup>
  #ofCodes = new Map<number, SendingRoute[]>()
  #forAll: SendingRoute[] = []
  // ids of the short codes that have a cap
  #capped: number[] = []

  constructor(groups: ReadonlyMap<number, BindGroup>) {
    this.#groups = groups
  }

  /** Replaces the routes, the connections that serve all short codes without routes, and the short codes that have a cap. */
  set(rows: ShortCodeSendingRoute[], servingAll: number[], capped: number[]): void {
    const before = this.#ofCodes
    const ofCodes = new Map<number, SendingRoute[]>()
    for (const row of rows) {
      const routes = ofCodes.get(row.shortCodeId) ?? []
      ofCodes.set(row.shortCodeId, routes)
      routes.push(withProgress(before.get(row.shortCodeId), row))
    }
    this.#ofCodes = ofCodes
    this.#capped = capped
    this.#forAll = servingAll.map((connectionId) => withProgress(this.#forAll, { connectionId, tier: 0, weight: 1 }))
  }

  /**
   * Returns the usable bind groups for the next texts of this short code, in the order in which they should be tried: the one
   * with the lowest progress first, then those that can replace it.
   */
  groupsInOrder(shortCodeId: number, now: number): BindGroup[] {
    const routes = this.#routesOf(shortCodeId)
    const usable: Array<{ group: BindGroup; route: SendingRoute }> = []
    for (const route of routes) {
      // routes are sorted by tier
      if (usable[0] && route.tier > usable[0].route.tier) break
      const group = this.#groups.get(route.connectionId)
      const isUsable = (group?.isUsable(now) && !group.capsFor(shortCodeId).isClosed) ?? false
      if (isUsable && !route.wasUsable) route.progress = Math.max(route.progress, lowestProgress(routes, route))
      route.wasUsable = isUsable
      if (group && isUsable) usable.push({ group, route })
    }
    return usable.sort((a, b) => a.route.progress - b.route.progress).map(({ group }) => group)
  }

  /** Counts texts that use this group. Groups that were passed over for it do not get these texts back later. */
  count(shortCodeId: number, group: BindGroup, texts: number, passedOver: readonly BindGroup[] = []): void {
    const routes = this.#routesOf(shortCodeId)
    const routeOf = ({ connection }: BindGroup) => routes.find((each) => each.connectionId === connection.id)
    const route = routeOf(group)
    if (!route) return
    for (const each of passedOver) {
      const other = routeOf(each)
      if (other) other.progress = Math.max(other.progress, route.progress)
    }
    route.progress += texts / route.weight
  }

  /** Whether any bind group of this short code can transmit. */
  isBound(shortCodeId: number): boolean {
    return this.#groupsOf(shortCodeId).some((group) => group.canTransmit)
  }

  /** Whether any bind group of this short code can transmit and has a share of each cap. */
  canSend(shortCodeId: number): boolean {
    return this.#groupsOf(shortCodeId).some((group) => group.canTransmit && !group.capsFor(shortCodeId).isClosed)
  }

  /** The sum of the paces of all groups that can transmit, in submit_sm per second. */
  get pace(): number {
    let pace = 0
    for (const group of this.#groups.values()) if (group.canTransmit) pace += group.pace
    return pace
  }

  /** Whether any bind group of this short code has caps for carriers. */
  needsCarriers(shortCodeId: number): boolean {
    return this.#groupsOf(shortCodeId).some((group) => group.needsCarriers)
  }

  /** The short codes for which canSend is true; undefined if there are none. */
  sendable(): SendableCodes | undefined {
    const allBut = this.canSend(noShortCode)
    const ids = [...new Set([...this.#ofCodes.keys(), ...this.#capped])].filter((id) => this.canSend(id) !== allBut)
    return allBut || ids.length > 0 ? { allBut, ids } : undefined
  }

  #groupsOf(shortCodeId: number): BindGroup[] {
    return this.#routesOf(shortCodeId)
      .map((route) => this.#groups.get(route.connectionId))
      .filter((group) => group !== undefined)
  }

  #routesOf(shortCodeId: number): SendingRoute[] {
    return this.#ofCodes.get(shortCodeId) ?? this.#forAll
  }
}

/** Returns the route of a row, with its progress if it existed before. */
function withProgress(
  before: SendingRoute[] | undefined,
  row: Pick<SendingRoute, 'connectionId' | 'tier' | 'weight'>,
): SendingRoute {
  const known = before?.find((route) => route.connectionId === row.connectionId)
  const { connectionId, tier, weight } = row
  if (!known) return { connectionId, tier, weight, progress: 0, wasUsable: false }
  return { ...known, tier, weight }
}

/** The progress from which a route that was unusable continues: it does not catch up on texts that others have sent meanwhile. */
function lowestProgress(routes: SendingRoute[], except: SendingRoute): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const route of routes) {
    if (route !== except && route.tier === except.tier && route.wasUsable) lowest = Math.min(lowest, route.progress)
  }
  return lowest === Number.POSITIVE_INFINITY ? 0 : lowest
}
