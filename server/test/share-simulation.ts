import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import { Caps } from '../src/gateway/caps/caps.ts'
import type { LeasedShare, ShareTable } from '../src/gateway/caps/shares.queries.ts'
import { Shares } from '../src/gateway/caps/shares.ts'

// Simulated gateways that share one cap, on a clock that jumps from event to event. Each statement takes time before and
// after its effect, and a gateway may freeze or die between any two steps.

const cap = 'connection:1'
const leaseMs = 5_000
const graceMs = 1_250
const log = pino({ level: 'silent' })

export type GatewayPlan = {
  startsAt: number
  demand: ReadonlyArray<{ at: number; hasWork: boolean }>
  freezes: ReadonlyArray<{ at: number; ms: number }>
  diesAt: number | null
}

type Row = Pick<LeasedShare, 'gateway' | 'mps' | 'needsTokens'> & { leaseUntil: number }

export class ShareSimulation {
  readonly #mps: ReadonlyArray<{ at: number; mps: number }>
  #seed: number
  #now = 0
  #events: Array<{ at: number; run: () => void }> = []
  #rows = new Map<string, Row>()
  #version = 0
  #gateways = 0
  /** Times of all writes by all gateways. */
  readonly writes: number[] = []

  constructor({ mps, seed }: { mps: ReadonlyArray<{ at: number; mps: number }>; seed: number }) {
    this.#mps = mps
    this.#seed = seed
  }

  /** Adds a gateway that starts, demands tokens, freezes and dies as planned. */
  addGateway(plan: GatewayPlan): void {
    const gateway = `g${this.#gateways++}`
    const sleep = (ms: number) => this.#sleep(plan, ms)
    const caps = new Caps()
    const shares = new Shares(caps, {
      table: this.#tableOf(gateway, sleep),
      gateway,
      leaseMs,
      log,
      now: () => this.#now,
    })
    const setLimits = () => shares.setLimits(new Map([[cap, this.#mpsAt(this.#now)]]), () => true)
    const hasWork = () => plan.demand.findLast(({ at }) => at <= this.#now)?.hasWork ?? false
    void (async () => {
      await sleep(plan.startsAt)
      setLimits()
      void this.#repeat(async () => {
        await shares.sync()
        await sleep(shares.isMoving ? 150 : leaseMs / 5)
      })
      void this.#repeat(async () => {
        await sleep(100 + this.#random(700))
        const before = this.#mpsAt(this.#now)
        setLimits()
        if (before !== undefined) await sleep(1)
      })
      void this.#repeat(async () => {
        if (hasWork()) void this.#write(caps, sleep)
        await sleep(2 + this.#random(6))
      })
    })()
  }

  /** Marks as many texts as the cap allows and writes each when the cap is ready. */
  async #write(caps: Caps, sleep: (ms: number) => Promise<void>): Promise<void> {
    const set = caps.of(cap)
    const tokens = set.free(this.#now)
    set.reportShortage(this.#now, tokens + 1)
    if (tokens === 0) return
    set.reserve(tokens)
    await sleep(5 + this.#random(20))
    const deadline = this.#now + 1_000
    for (let remaining = tokens; remaining > 0; remaining--) {
      while (!set.isReady(this.#now)) {
        if (this.#now > deadline) {
          set.release(remaining)
          return
        }
        await sleep(Math.max(1, Math.min(50, set.readyAt(this.#now) - this.#now)))
      }
      set.use(this.#now)
      this.writes.push(this.#now)
    }
  }

  /** Runs all events up to this time. */
  async run(untilMs: number): Promise<void> {
    await nextTurn()
    for (;;) {
      let next: { at: number; run: () => void } | undefined
      for (const event of this.#events) if (!next || event.at < next.at) next = event
      if (!next || next.at > untilMs) return
      this.#events.splice(this.#events.indexOf(next), 1)
      this.#now = next.at
      next.run()
      await nextTurn()
    }
  }

  /** Returns the highest number of writes in any sliding second. */
  maxWritesPerSecond(): number {
    let max = 0
    for (let first = 0, last = 0; last < this.writes.length; last++) {
      while ((this.writes[last] as number) - (this.writes[first] as number) >= 1_000) first++
      max = Math.max(max, last - first + 1)
    }
    return max
  }

  /** Returns the seconds, each beginning with a write, that contain more writes than `limit` allows. */
  secondsAbove(limit: (at: number) => number): Array<{ at: number; written: number; limit: number }> {
    return this.writes
      .map((at, n) => {
        const after = this.writes.slice(n)
        const end = after.findIndex((other) => other >= at + 1_000)
        return { at, written: end === -1 ? after.length : end, limit: limit(at) }
      })
      .filter((second) => second.written > second.limit)
  }

  /** Returns the highest value of the cap between two times. */
  highestCap(from: number, until: number): number {
    const inForce = this.#mps.filter(({ at }, n) => at <= until && (this.#mps[n + 1]?.at ?? until) >= from)
    return Math.max(...inForce.map(({ mps }) => mps))
  }

  #mpsAt(now: number): number {
    return this.#mps.findLast(({ at }) => at <= now)?.mps ?? 1
  }

  #tableOf(gateway: string, sleep: (ms: number) => Promise<void>): ShareTable {
    const statement = async <T>(work: () => T): Promise<T> => {
      // a statement that was sent takes effect even if its gateway dies
      const done = new Promise<T>((resolve) => this.#at(this.#now + this.#random(10), () => resolve(work())))
      const result = await done
      await sleep(this.#random(10))
      return result
    }
    const rows = this.#rows
    return {
      renew: (ms, renewals) =>
        statement(() => {
          const row = rows.get(gateway)
          const renewal = renewals[0]
          if (!row || !renewal) return new Set()
          const { effectiveLimit, needsTokens } = renewal
          const reduced = Math.min(row.mps, effectiveLimit)
          rows.set(gateway, { ...row, mps: reduced, needsTokens, leaseUntil: this.#now + ms })
          return new Set([cap])
        }),
      join: (ms) =>
        statement(() => {
          const row = rows.get(gateway) ?? { gateway, mps: 0, needsTokens: false }
          rows.set(gateway, { ...row, leaseUntil: this.#now + ms })
        }),
      deleteExpired: () =>
        statement(() => {
          for (const [owner, { leaseUntil }] of rows) if (leaseUntil < this.#now - graceMs) rows.delete(owner)
        }),
      list: () => statement(() => [...rows.values()].map((row) => ({ ...row, cap, version: this.#version }))),
      grow: ({ version, mps }) =>
        statement(() => {
          if (version !== this.#version) return false
          this.#version++
          const row = rows.get(gateway)
          if (row) rows.set(gateway, { ...row, mps })
          return row !== undefined
        }),
      release: () => statement(() => {}),
    }
  }

  async #repeat(work: () => Promise<void>): Promise<never> {
    for (;;) await work()
  }

  /** Resolves after this time, or when the gateway is no longer frozen; never if the gateway is dead by then. */
  #sleep(plan: GatewayPlan, ms: number): Promise<void> {
    let at = this.#now + ms
    for (let isDelayed = true; isDelayed; ) {
      isDelayed = false
      for (const freeze of plan.freezes) {
        if (at < freeze.at || at >= freeze.at + freeze.ms) continue
        at = freeze.at + freeze.ms
        isDelayed = true
      }
    }
    return new Promise((resolve) => {
      this.#at(at, () => {
        if (plan.diesAt === null || at < plan.diesAt) resolve()
      })
    })
  }

  #at(at: number, run: () => void): void {
    this.#events.push({ at, run })
  }

  #random(limit: number): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return this.#seed % limit
  }
}
