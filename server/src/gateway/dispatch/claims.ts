import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Chunk } from '../../log/chunk.ts'
import { claimBroadcasts, claimChunks } from '../../log/claims.queries.ts'
import { abandonSubmitting } from '../../log/leases.queries.ts'
import { listQueuedByChunk, listQueuedWithCarriers } from '../../log/marks.queries.ts'
import { lanes } from '../../messages/messages.ts'
import type { SendableCodes, SendingRoutes } from '../binds/sending-routes.ts'
import { LeasedChunk } from '../submit/leased-chunk.ts'
import { timing } from '../timing.ts'

const { claimAheadMs, claimPollMs } = timing

export type ClaimsOptions = {
  db: Db
  clock: Clock
  log: Logger
  routes: SendingRoutes
  instanceId: string
  leaseMs: number
  /** All chunks under lease. */
  leased(): readonly LeasedChunk[]
  /** A chunk was leased. */
  onLeased(leased: LeasedChunk): void
  /** Interval at which chunks are claimed if no notice arrives. */
  pollMs?: number
}

/** More broadcast chunks are claimed while fewer recipients of broadcasts than this are leased. */
const targetRows = 3_000
/** Maximum number of broadcast chunks per claim, and the usual number of recipients of one. */
const chunksPerClaim = 4
const chunkRows = 1_000
/** Maximum number of leased broadcast chunks, beyond which each account without any gets one, up to twice the number. */
const maxBroadcastChunks = 64
/** More chunks of one broadcast are claimed when at most this many of its recipients are leased; higher for few broadcasts. */
const lowRows = 250
/** Maximum number of leased urgent texts. Each is a chunk of its own, whose lease is renewed, and other gateways can send it. */
const maxUrgentChunks = 2_000
/**
 * Maximum number of urgent texts per claim. No more texts of a short code are claimed while this many are leased: if its texts
 * are written slowly, they must not delay those of other short codes.
 */
const urgentChunksPerClaim = 50

/** The claims of one kind of chunks; only one statement runs at a time. */
type Claiming = {
  isRunning: boolean
  mustRepeat: boolean
  /** The last claim found no more chunks; the next claim waits for a notice or the poll. */
  isDrained: boolean
  /** Claims once and returns whether to claim again immediately. */
  claim(): Promise<boolean>
}

/** Leases chunks of urgent texts and, independently, of broadcasts. */
export class Claims {
  readonly #options: ClaimsOptions
  readonly #urgent: Claiming
  readonly #broadcasts: Claiming
  // ids of the broadcasts of which chunks were claimed, the longest ago first
  #served: number[] = []
  // and of their accounts
  #servedAccounts: number[] = []
  // ids of the short codes for which the last claim was skipped, because too many of their texts were leased
  #skippedCodes: number[] = []
  // ids of the broadcasts without further chunks at the last claim; the next claim waits for a notice or the poll
  readonly #exhausted = new Set<number>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: ClaimsOptions) {
    this.#options = options
    const claiming = (claim: () => Promise<boolean>): Claiming => ({
      isRunning: false,
      mustRepeat: false,
      isDrained: false,
      claim,
    })
    this.#urgent = claiming(() => this.#claimUrgent())
    this.#broadcasts = claiming(() => this.#claimBroadcasts())
  }

  start(): void {
    this.#timer = setInterval(() => this.claimNow(), this.#options.pollMs ?? claimPollMs)
    this.claimNow()
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
  }

  /** Starts claims of all kinds, because a notice arrived or the poll is due. */
  claimNow(): void {
    this.#exhausted.clear()
    this.#start(this.#urgent)
    this.#start(this.#broadcasts)
  }

  /** Starts claims of the kinds of which few recipients are leased, unless the last claim found no more chunks. */
  claimIfLow(): void {
    const { fullCodes, rows, broadcasts } = this.#countLeased()
    const hasRoom = this.#skippedCodes.some((code) => !fullCodes.includes(code))
    if (hasRoom || !this.#urgent.isDrained) this.#start(this.#urgent)
    if (rows >= this.#enoughRows) return
    const low = lowRowsFor(broadcasts)
    const isLow = [...broadcasts].some(([id, { remaining }]) => remaining <= low && !this.#exhausted.has(id))
    if (isLow || (broadcasts.size === 0 && !this.#broadcasts.isDrained)) this.#start(this.#broadcasts)
  }

  #start(claiming: Claiming): void {
    if (claiming.isRunning) {
      claiming.mustRepeat = true
      return
    }
    claiming.isRunning = true
    void this.#run(claiming).finally(() => {
      claiming.isRunning = false
      if (claiming.mustRepeat && !this.#stopped) {
        claiming.mustRepeat = false
        this.#start(claiming)
      }
    })
  }

  async #run(claiming: Claiming): Promise<void> {
    try {
      while (!this.#stopped && (await claiming.claim()));
    } catch (error) {
      this.#options.log.warn({ err: error }, 'failed to claim chunks, retrying at the next poll')
      // claims before the next poll would not succeed sooner while the database is unavailable
      claiming.isDrained = true
      for (const messageId of this.#countLeased().broadcasts.keys()) this.#exhausted.add(messageId)
    }
  }

  /** Number of leased recipients of broadcasts above which no more are claimed, except of broadcasts without any. */
  get #enoughRows(): number {
    return Math.min(targetRows, Math.max(lowRows, (this.#options.routes.pace * claimAheadMs) / 1_000))
  }

  /**
   * Counts leased urgent chunks and leased recipients of broadcasts, in total and per broadcast; `fullCodes` are the short codes
   * of which no more urgent texts may be leased.
   */
  #countLeased() {
    const urgentByCode = new Map<number, number>()
    const broadcasts = new Map<number, { remaining: number; chunks: number }>()
    const broadcastAccounts = new Set<number>()
    let [urgent, rows] = [0, 0]
    for (const { chunk, remaining } of this.#options.leased()) {
      if (chunk.lane === lanes.broadcast) {
        const own = broadcasts.get(chunk.messageId) ?? { remaining: 0, chunks: 0 }
        broadcasts.set(chunk.messageId, { remaining: own.remaining + remaining, chunks: own.chunks + 1 })
        broadcastAccounts.add(chunk.accountId)
        rows += remaining
      } else {
        urgent++
        urgentByCode.set(chunk.shortCodeId, (urgentByCode.get(chunk.shortCodeId) ?? 0) + 1)
      }
    }
    const fullCodes = [...urgentByCode].filter(([, count]) => count >= urgentChunksPerClaim).map(([code]) => code)
    return { urgent, fullCodes, rows, broadcasts, broadcastAccounts }
  }

  async #claimUrgent(): Promise<boolean> {
    const { db, clock, routes, instanceId, leaseMs } = this.#options
    const { urgent, fullCodes } = this.#countLeased()
    const limit = Math.min(urgentChunksPerClaim, maxUrgentChunks - urgent)
    const codes = withoutCodes(routes.sendable(), fullCodes)
    this.#skippedCodes = fullCodes
    this.#urgent.isDrained = true
    if (!codes || limit <= 0) return false
    const startedAt = performance.now()
    const [fromLane, toLane] = [lanes.system, lanes.transactional]
    const claim = { owner: instanceId, leaseMs, now: clock.now(), codes, limit }
    const chunks = await claimChunks(db, { ...claim, fromLane, toLane })
    this.#urgent.isDrained = chunks.length < limit
    await this.#load(chunks, startedAt + leaseMs)
    return false
  }

  async #claimBroadcasts(): Promise<boolean> {
    const { db, clock, routes, instanceId, leaseMs } = this.#options
    const codes = routes.sendable()
    const { rows, broadcasts, broadcastAccounts } = this.#countLeased()
    const leasedChunks = [...broadcasts.values()].reduce((sum, { chunks }) => sum + chunks, 0)
    if (!codes || leasedChunks >= 2 * maxBroadcastChunks) return false
    // an account with many broadcasts must not keep another one from its first chunk
    const exceptAccounts = leasedChunks >= maxBroadcastChunks ? [...broadcastAccounts] : []
    // if enough recipients are leased, only broadcasts without a leased recipient are claimed
    const missing = this.#enoughRows - rows
    const low = missing <= 0 ? 0 : lowRowsFor(broadcasts)
    const enough = [...broadcasts].filter(([, { remaining }]) => remaining > low).map(([messageId]) => messageId)
    const startedAt = performance.now()
    const limit = missing <= 0 ? chunksPerClaim : Math.min(chunksPerClaim, Math.ceil(missing / chunkRows))
    const turns = { enough, served: this.#served, servedAccounts: this.#servedAccounts, exceptAccounts }
    const chunks = await claimBroadcasts(db, { owner: instanceId, leaseMs, now: clock.now(), codes, limit, ...turns })
    this.#broadcasts.isDrained = chunks.length === 0 && enough.length === 0 && exceptAccounts.length === 0
    for (const [id, { remaining }] of broadcasts) {
      if (remaining <= low && !chunks.some(({ messageId }) => messageId === id)) this.#exhausted.add(id)
    }
    for (const { messageId, accountId } of chunks) {
      this.#served = appended(this.#served, messageId)
      this.#servedAccounts = appended(this.#servedAccounts, accountId)
    }
    await this.#load(chunks, startedAt + leaseMs)
    // If the limit was reached with chunks of different broadcasts, there may be more broadcasts without a leased chunk.
    return new Set(chunks.map((chunk) => chunk.messageId)).size === limit
  }

  /**
   * Loads the queued recipients of claimed chunks, with one statement per day. `submitting` texts of a chunk that another gateway
   * lost become unknown.
   */
  async #load(chunks: Chunk[], leaseUntil: number): Promise<void> {
    const { db, log, routes, leaseMs, onLeased } = this.#options
    for (const chunk of chunks) {
      if (chunk.epoch === 1) continue
      const abandoned = await abandonSubmitting(db, chunk)
      if (abandoned > 0) log.warn({ chunk: chunk.id, texts: abandoned }, 'took over a chunk with unconfirmed texts')
    }
    for (const needsCarriers of [false, true]) {
      const alike = chunks.filter((chunk) => routes.needsCarriers(chunk.shortCodeId) === needsCarriers)
      for (const [day, ofDay] of Map.groupBy(alike, (chunk) => chunk.loggedOn)) {
        const recipients = await (needsCarriers ? listQueuedWithCarriers : listQueuedByChunk)(db, day, ofDay)
        for (const chunk of ofDay) {
          onLeased(new LeasedChunk(chunk, recipients.get(chunk.id) ?? [], leaseUntil, leaseMs, needsCarriers))
        }
      }
    }
  }
}

/** Returns the ids with this one at the end; the first ones are dropped if there are more than a thousand. */
function appended(ids: number[], id: number): number[] {
  return [...ids.filter((each) => each !== id), id].slice(-1_000)
}

/** Returns the sendable short codes without these ids; undefined if none is left. */
function withoutCodes(codes: SendableCodes | undefined, excluded: number[]): SendableCodes | undefined {
  if (!codes || excluded.length === 0) return codes
  if (codes.allBut) return { allBut: true, ids: [...new Set([...codes.ids, ...excluded])] }
  const ids = codes.ids.filter((id) => !excluded.includes(id))
  return ids.length > 0 ? { allBut: false, ids } : undefined
}

/** Returns the number of leased recipients of a broadcast at or below which more of it are claimed. */
function lowRowsFor(broadcasts: ReadonlyMap<number, unknown>): number {
  return Math.max(lowRows, targetRows / (broadcasts.size + 1))
}
