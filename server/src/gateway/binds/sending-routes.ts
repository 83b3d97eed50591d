import type { ShortCodeSendingRoute } from '../../connections/sending-routes.queries.ts'
import type { BindGroup } from './bind-group.ts'

type SendingRoute = { connectionId: number; tier: number; weight: number; turn: number; wasUsable: boolean }

/** Short codes that can be sent from: only these, or all but these. */
export type SendableCodes = { allBut: boolean; ids: number[] }

/** Stands for all short codes without routes or caps of their own. */
const noShortCode = 0

/**
 * Chooses the bind group for a short code's next texts: of the lowest tier that has a usable one, each group in proportion to its
 * weight. A group that is lost, or can take no more for now by a cap or its carrier's pace, is passed over until it is back.
 */
export class SendingRoutes {
  readonly #groups: ReadonlyMap<number, BindGroup>
  #ofCodes = new Map<number, SendingRoute[]>()
  #forAll: SendingRoute[] = []
  // short codes that have a cap
  #capped: number[] = []

  constructor(groups: ReadonlyMap<number, BindGroup>) {
    this.#groups = groups
  }

  /** Replaces the routes, and the connections that serve all short codes without routes. */
  set(table: ShortCodeSendingRoute[], servingAll: number[], capped: number[]): void {
    const before = this.#ofCodes
    const ofCodes = new Map<number, SendingRoute[]>()
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
   * The bind groups that the next texts of this short code may take: the one whose turn it is before those that stand in for it;
   * none while none is usable.
   */
  inTurn(shortCodeId: number, now: number): BindGroup[] {
    const routes = this.#routesOf(shortCodeId)
    const usable: Array<{ group: BindGroup; route: SendingRoute }> = []
    for (const route of routes) {
      // routes are in the order of their tiers
      if (usable[0] && route.tier > usable[0].route.tier) break
      const group = this.#groups.get(route.connectionId)
      const isUsable = (group?.isUsable(now) && !group.capsFor(shortCodeId).isClosed) ?? false
      if (isUsable && !route.wasUsable) route.turn = Math.max(route.turn, lowestTurn(routes, route))
      route.wasUsable = isUsable
      if (group && isUsable) usable.push({ group, route })
    }
    return usable.sort((a, b) => a.route.turn - b.route.turn).map(({ group }) => group)
  }

  /** Counts texts that took this group, for the weights. Groups that it stood in for get no compensation. */
  count(shortCodeId: number, group: BindGroup, texts: number, passedOver: readonly BindGroup[] = []): void {
    const routes = this.#routesOf(shortCodeId)
    const routeOf = ({ connection }: BindGroup) => routes.find((each) => each.connectionId === connection.id)
    const route = routeOf(group)
    if (!route) return
    for (const each of passedOver) {
      const other = routeOf(each)
      if (other) other.turn = Math.max(other.turn, route.turn)
    }
    route.turn += texts / route.weight
  }

  /** Whether any bind group of this short code is bound for sending. */
  isBound(shortCodeId: number): boolean {
    return this.#groupsOf(shortCodeId).some((group) => group.transmits)
  }

  /** Whether any bind group of this short code is bound for sending and has a share of its caps. */
  canSend(shortCodeId: number): boolean {
    return this.#groupsOf(shortCodeId).some((group) => group.transmits && !group.capsFor(shortCodeId).isClosed)
  }

  /** Texts a second that the caps of all bound groups allow. */
  get pace(): number {
    let pace = 0
    for (const group of this.#groups.values()) if (group.transmits) pace += group.pace
    return pace
  }

  /** Whether any bind group of this short code has caps for carriers. */
  needsCarriers(shortCodeId: number): boolean {
    return this.#groupsOf(shortCodeId).some((group) => group.needsCarriers)
  }

  /** The short codes for which canSend is true; undefined without any. */
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

function keep(
  before: SendingRoute[] | undefined,
  row: Pick<SendingRoute, 'connectionId' | 'tier' | 'weight'>,
): SendingRoute {
  const known = before?.find((route) => route.connectionId === row.connectionId)
  const { connectionId, tier, weight } = row
  if (!known) return { connectionId, tier, weight, turn: 0, wasUsable: false }
  return { ...known, tier, weight }
}

/** A group that was away gets no compensation: it begins where the others are. */
function lowestTurn(routes: SendingRoute[], except: SendingRoute): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const route of routes) {
    if (route !== except && route.tier === except.tier && route.wasUsable) lowest = Math.min(lowest, route.turn)
  }
  return lowest === Number.POSITIVE_INFINITY ? 0 : lowest
}
