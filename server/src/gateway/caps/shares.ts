import type { Logger } from 'pino'
import { Repeater } from '../../lib/repeater.ts'
import { leaseTiming, timing } from '../timing.ts'
import type { Caps } from './caps.ts'
import type { LeasedShare, ShareTable } from './shares.queries.ts'

const { shareMovingMs } = timing

/** The gateways that need no tokens together have one part in this many of a cap. */
const idleDivisor = 100

type Claim = Pick<LeasedShare, 'gateway' | 'mps' | 'needsTokens'>

/**
 * Divides a cap of `mps` among gateways and returns the share of each: equal shares for gateways that need tokens, little or
 * nothing for the others. If the cap has fewer tokens per second than gateways that need them, the gateways that already have a
 * share come first; the others send nothing under this cap.
 */
export function divide(mps: number, claims: readonly Claim[]): Map<string, number> {
  const anyNeedsTokens = claims.some((claim) => claim.needsTokens)
  const working = claims
    .filter((claim) => claim.needsTokens || !anyNeedsTokens)
    .sort((a, b) => Number(b.mps > 0) - Number(a.mps > 0) || (a.gateway < b.gateway ? -1 : 1))
  const idle = claims.length - working.length
  const idleShare = idle === 0 ? 0 : Math.floor(mps / idleDivisor / idle)
  const shares = new Map(claims.map((claim) => [claim.gateway, idleShare]))
  const remaining = mps - idleShare * idle
  const equalShare = Math.floor(remaining / working.length)
  working.forEach(({ gateway }, index) => {
    shares.set(gateway, equalShare + (index < remaining - equalShare * working.length ? 1 : 0))
  })
  return shares
}

export type SharesOptions = {
  table: ShareTable
  gateway: string
  leaseMs: number
  log: Logger
  /** Called when a share has grown, so that more may be written. */
  onGrow?: () => void
  now?: () => number
}

/** Leases this gateway's shares of the caps, and adjusts their sizes to its need for tokens. */
export class Shares {
  readonly #options: SharesOptions
  readonly #caps: Caps
  readonly #now: () => number
  readonly #reserveMs: number
  readonly #repeater: Repeater
  // the caps that this gateway can use, in submit_sm per second
  #limits: ReadonlyMap<string, number> = new Map()
  // all gateways' shares of these caps, as last listed
  #listed = new Map<string, Claim[]>()
  // caps of which this gateway has a row in the table, even with a share of 0
  readonly #joined = new Set<string>()
  #isMoving = false
  #movingTimer: NodeJS.Timeout | undefined

  constructor(caps: Caps, options: SharesOptions) {
    this.#caps = caps
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#reserveMs = leaseTiming(options.leaseMs).reserveMs
    this.#repeater = new Repeater(
      async () => {
        await this.sync()
        if (this.#isMoving) this.#movingTimer = setTimeout(() => this.#repeater.now(), shareMovingMs)
      },
      leaseTiming(options.leaseMs).renewEveryMs,
      (error) => options.log.warn({ err: error }, 'failed to renew shares of caps, retrying'),
    )
    caps.onShortage = () => this.#repeater.now()
  }

  start(): void {
    this.#repeater.start()
  }

  /** Ends the leases; from then on no write under a cap is allowed. */
  async stop(): Promise<void> {
    clearTimeout(this.#movingTimer)
    await this.#repeater.stop()
    clearTimeout(this.#movingTimer)
    const joined = [...this.#joined]
    for (const cap of joined) this.#caps.get(cap)?.cut(0, this.#now())
    if (joined.length > 0) await this.#options.table.release(joined)
  }

  /**
   * Sets which caps exist, and which of them this gateway can use. A lowered cap takes effect immediately, as far as the shares
   * of other gateways are known.
   */
  setLimits(limits: ReadonlyMap<string, number>, isUsable: (cap: string) => boolean): void {
    const now = this.#now()
    this.#caps.setKeys(limits.keys())
    const usable = new Map([...limits].filter(([cap]) => isUsable(cap)))
    let hasChanged = false
    for (const [cap, mps] of usable) {
      const before = this.#limits.get(cap)
      if (before === mps) continue
      hasChanged = true
      if (before !== undefined && mps < before)
        this.#caps.get(cap)?.cut(this.#ownShare(mps, this.#listed.get(cap)), now)
    }
    for (const cap of this.#limits.keys()) {
      if (usable.has(cap)) continue
      hasChanged = true
      this.#caps.get(cap)?.cut(0, now)
    }
    this.#limits = usable
    if (hasChanged) this.#repeater.now()
  }

  /** Whether a share is moving from one gateway to another. */
  get isMoving(): boolean {
    return this.#isMoving
  }

  /**
   * Renews the leases, returns the part of each share that was unused for a second, and leases what is free of the due share.
   * Rejects when a statement fails; Shares repeats the call.
   */
  async sync(): Promise<void> {
    if (this.#limits.size + this.#joined.size === 0) return
    const { table, leaseMs } = this.#options
    // taken before the statements, so that this gateway assumes the end of a lease no later than the database does
    const startedAt = this.#now()
    await this.#renew(startedAt)
    await this.#releaseUnused()
    const joining = [...this.#limits.keys()].filter((cap) => !this.#joined.has(cap))
    if (joining.length > 0) await table.join(leaseMs, joining)
    for (const cap of joining) this.#joined.add(cap)
    await table.deleteExpired()
    const leased = Map.groupBy(await table.list([...this.#limits.keys()]), (share) => share.cap)
    this.#listed = leased
    this.#isMoving = this.#joined.size > this.#limits.size
    for (const cap of [...this.#limits.keys()]) await this.#adjust(cap, leased.get(cap) ?? [], startedAt)
  }

  async #renew(startedAt: number): Promise<void> {
    if (this.#joined.size === 0) return
    const renewals = [...this.#joined].map((key) => {
      const cap = this.#caps.get(key)
      return {
        cap: key,
        effectiveLimit: cap?.effectiveLimit(startedAt) ?? 0,
        needsTokens: cap?.hadShortage(startedAt) ?? false,
      }
    })
    const renewed = await this.#options.table.renew(this.#options.leaseMs, renewals)
    for (const cap of [...this.#joined]) {
      if (renewed.has(cap)) continue
      // our lease ended and other gateways have leased the share
      this.#joined.delete(cap)
      this.#caps.get(cap)?.cut(0, this.#now())
    }
  }

  /** Releases the shares of caps that this gateway can no longer use, a second after the last write under them. */
  async #releaseUnused(): Promise<void> {
    const now = this.#now()
    const unused = [...this.#joined].filter(
      (cap) => !this.#limits.has(cap) && (this.#caps.get(cap)?.effectiveLimit(now) ?? 0) === 0,
    )
    if (unused.length === 0) return
    await this.#options.table.release(unused)
    for (const cap of unused) this.#joined.delete(cap)
  }

  /** Grows our share of one cap if it should be larger and tokens are free, and grants the result to the cap. */
  async #adjust(key: string, leased: LeasedShare[], startedAt: number): Promise<void> {
    const { table, gateway, leaseMs, onGrow } = this.#options
    const own = leased.find((share) => share.gateway === gateway)
    const mps = this.#limits.get(key)
    const cap = this.#caps.get(key)
    if (!own || mps === undefined || !cap) return
    const due = this.#ownShare(mps, leased)
    const available = mps - leased.reduce((sum, share) => sum + (share === own ? 0 : share.mps), 0)
    const target = Math.min(due, available)
    let granted = own.mps
    if (target > granted && (await table.grow({ cap: key, version: own.version, mps: target }))) granted = target
    // the cap may have been lowered while the statement ran
    const limit = Math.min(granted, this.#ownShare(this.#limits.get(key) ?? 0, leased))
    const hasGrown = limit > cap.limit
    cap.grant(limit, startedAt + leaseMs - this.#reserveMs, this.#now())
    if (granted !== due) this.#isMoving = true
    if (hasGrown) onGrow?.()
  }

  /** The share of a cap that this gateway should have; all of it if no claims are known. */
  #ownShare(mps: number, claims: readonly Claim[] = []): number {
    return claims.length === 0 ? mps : (divide(mps, claims).get(this.#options.gateway) ?? 0)
  }
}
