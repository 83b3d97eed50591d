import type { Logger } from 'pino'
import { Repeater } from '../../lib/repeater.ts'
import { leaseTiming, timing } from '../timing.ts'
import type { Caps } from './caps.ts'
import type { LeasedShare, ShareTable } from './shares.queries.ts'

const { shareMovingMs } = timing

/** Gateways for which a cap is no bottleneck have a hundredth of it, all together. */
const idlePart = 100

type Claim = Pick<LeasedShare, 'gateway' | 'mps' | 'wanted'>

/**
 * The share of a cap that each gateway should have: gateways that wait for tokens the same, idle ones little or nothing. Where
 * the cap is too small for all that wait, gateways that have a share already come first; the others leave the texts to them.
 */
export function divide(mps: number, claims: readonly Claim[]): Map<string, number> {
  const anyWork = claims.some((claim) => claim.wanted)
  const working = claims
    .filter((claim) => claim.wanted || !anyWork)
    .sort((a, b) => Number(b.mps > 0) - Number(a.mps > 0) || (a.gateway < b.gateway ? -1 : 1))
  const idle = claims.length - working.length
  const least = idle === 0 ? 0 : Math.floor(mps / idlePart / idle)
  const shares = new Map(claims.map((claim) => [claim.gateway, least]))
  const rest = mps - least * idle
  const each = Math.floor(rest / working.length)
  working.forEach(({ gateway }, place) => {
    shares.set(gateway, each + (place < rest - each * working.length ? 1 : 0))
  })
  return shares
}

export type SharesOptions = {
  table: ShareTable
  gateway: string
  leaseMs: number
  log: Logger
  /** A share has grown: more may be written. */
  onGrow?: () => void
  now?: () => number
}

/** Keeps this gateway's shares of the caps under lease, and as large as its part of the work. */
export class Shares {
  readonly #options: SharesOptions
  readonly #caps: Caps
  readonly #now: () => number
  readonly #reserveMs: number
  readonly #repeater: Repeater
  // the caps that this gateway could use
  #limits: ReadonlyMap<string, number> = new Map()
  // their shares as last listed
  #seen = new Map<string, Claim[]>()
  // caps of which we have a row in the table, be it with a share of 0
  readonly #joined = new Set<string>()
  #isMoving = false
  #soon: NodeJS.Timeout | undefined

  constructor(caps: Caps, options: SharesOptions) {
    this.#caps = caps
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#reserveMs = leaseTiming(options.leaseMs).reserveMs
    this.#repeater = new Repeater(
      async () => {
        await this.turn()
        if (this.#isMoving) this.#soon = setTimeout(() => this.#repeater.now(), shareMovingMs)
      },
      leaseTiming(options.leaseMs).renewEveryMs,
      (error) => options.log.warn({ err: error }, 'failed to renew shares of caps, retrying'),
    )
    caps.onShortage = () => this.#repeater.now()
  }

  start(): void {
    this.#repeater.start()
  }

  /** Ends the leases: no write under a cap is allowed any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#soon)
    await this.#repeater.stop()
    clearTimeout(this.#soon)
    const joined = [...this.#joined]
    for (const cap of joined) this.#caps.get(cap)?.cut(0, this.#now())
    if (joined.length > 0) await this.#options.table.leave(joined)
  }

  /**
   * Sets which caps exist, and which of them this gateway could use. A cap that was cut is kept at once, as far as the shares of
   * other gateways are known.
   */
  follow(limits: ReadonlyMap<string, number>, takesPart: (cap: string) => boolean): void {
    const now = this.#now()
    this.#caps.follow(limits.keys())
    const ours = new Map([...limits].filter(([cap]) => takesPart(cap)))
    let hasChanged = false
    for (const [cap, mps] of ours) {
      const before = this.#limits.get(cap)
      if (before === mps) continue
      hasChanged = true
      if (before !== undefined && mps < before) this.#caps.get(cap)?.cut(this.#shareOf(mps, this.#seen.get(cap)), now)
    }
    for (const cap of this.#limits.keys()) {
      if (ours.has(cap)) continue
      hasChanged = true
      this.#caps.get(cap)?.cut(0, now)
    }
    this.#limits = ours
    if (hasChanged) this.#repeater.now()
  }

  /** Whether a share is moving from one gateway to another. */
  get isMoving(): boolean {
    return this.#isMoving
  }

  /** Renews the leases, gives up what was unused for a second, and takes what is free of our due share. */
  async turn(): Promise<void> {
    if (this.#limits.size + this.#joined.size === 0) return
    const { table, leaseMs } = this.#options
    const asked = this.#now()
    await this.#renew(asked)
    await this.#leave()
    const entering = [...this.#limits.keys()].filter((cap) => !this.#joined.has(cap))
    if (entering.length > 0) await table.join(leaseMs, entering)
    for (const cap of entering) this.#joined.add(cap)
    await table.forget()
    const leased = Map.groupBy(await table.list([...this.#limits.keys()]), (share) => share.cap)
    this.#seen = leased
    this.#isMoving = this.#joined.size > this.#limits.size
    for (const cap of [...this.#limits.keys()]) await this.#settle(cap, leased.get(cap) ?? [], asked)
  }

  async #renew(asked: number): Promise<void> {
    if (this.#joined.size === 0) return
    const renewals = [...this.#joined].map((key) => {
      const cap = this.#caps.get(key)
      return { cap: key, kept: cap?.effectiveLimit(asked) ?? 0, wanted: cap?.hadShortage(asked) ?? false }
    })
    const ours = await this.#options.table.renew(this.#options.leaseMs, renewals)
    for (const cap of [...this.#joined]) {
      if (ours.has(cap)) continue
      // our lease ended and the share was given to others
      this.#joined.delete(cap)
      this.#caps.get(cap)?.cut(0, this.#now())
    }
  }

  /** Leaves the caps that we cannot use any more, a second after the last write under them. */
  async #leave(): Promise<void> {
    const now = this.#now()
    const leaving = [...this.#joined].filter(
      (cap) => !this.#limits.has(cap) && (this.#caps.get(cap)?.effectiveLimit(now) ?? 0) === 0,
    )
    if (leaving.length === 0) return
    await this.#options.table.leave(leaving)
    for (const cap of leaving) this.#joined.delete(cap)
  }

  async #settle(key: string, leased: LeasedShare[], asked: number): Promise<void> {
    const { table, gateway, leaseMs, onGrow } = this.#options
    const ours = leased.find((share) => share.gateway === gateway)
    const mps = this.#limits.get(key)
    const cap = this.#caps.get(key)
    if (!ours || mps === undefined || !cap) return
    const should = this.#shareOf(mps, leased)
    const most = mps - leased.reduce((sum, share) => sum + (share === ours ? 0 : share.mps), 0)
    const wanted = Math.min(should, most)
    let has = ours.mps
    if (wanted > has && (await table.grow({ cap: key, version: ours.version, mps: wanted }))) has = wanted
    // a cap that was cut during the statement counts as it is now
    const limit = Math.min(has, this.#shareOf(this.#limits.get(key) ?? 0, leased))
    const hasGrown = limit > cap.limit
    cap.grant(limit, asked + leaseMs - this.#reserveMs, this.#now())
    if (has !== should) this.#isMoving = true
    if (hasGrown) onGrow?.()
  }

  #shareOf(mps: number, claims: readonly Claim[] = []): number {
    return claims.length === 0 ? mps : (divide(mps, claims).get(this.#options.gateway) ?? 0)
  }
}
