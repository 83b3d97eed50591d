import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Chunk } from '../../log/chunk.ts'
import { claimBroadcasts, claimChunks } from '../../log/claims.queries.ts'
import { abandonSubmitting } from '../../log/leases.queries.ts'
import { listQueued, listQueuedWithCarriers } from '../../log/marks.queries.ts'
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
  /** Takes a chunk that was leased. */
  take(leased: LeasedChunk): void
  /** Interval at which work is looked for without a notice. */
  pollMs?: number
}

/** Leased recipients of broadcasts below which more chunks are claimed, and how many chunks at a time. */
const mostRows = 3_000
const broadcastChunks = 4
const chunkRows = 1_000
/** Leased chunks of broadcasts at most, and leased recipients of one broadcast below which more of it are claimed. */
const mostBroadcastChunks = 64
const fewRows = 250
/**
 * Leased texts to one number each at most: every one is a chunk of its own that is renewed, and other gateways may send it as well.
 * Of one short code this many are claimed at a time, and none while it has as many: where they leave slowly, they must not delay
 * those of other short codes.
 */
const mostSingles = 2_000
const singlesAtOnce = 50

/** One kind of work, claimed by one statement at a time. */
type Kind = {
  isUnderWay: boolean
  again: boolean
  /** The last claim found no more: the next notice or poll claims again. */
  isDrained: boolean
  claim(): Promise<boolean>
}

/** Leases chunks: urgent texts, and beside them those of broadcasts, in turn. */
export class Claims {
  readonly #options: ClaimsOptions
  readonly #urgent: Kind
  readonly #broadcasts: Kind
  // broadcasts of which chunks were claimed, longest ago first
  #served: number[] = []
  // short codes with so many leased texts that no more were claimed
  #passedOver: number[] = []
  // broadcasts that had no more chunks in the last claim: the next notice or poll claims again
  readonly #exhausted = new Set<number>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: ClaimsOptions) {
    this.#options = options
    const kind = (claim: () => Promise<boolean>): Kind => ({
      isUnderWay: false,
      again: false,
      isDrained: false,
      claim,
    })
    this.#urgent = kind(() => this.#claimUrgent())
    this.#broadcasts = kind(() => this.#claimBroadcasts())
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), this.#options.pollMs ?? claimPollMs)
    this.look()
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
  }

  /** There may be chunks to claim: a notice came, or the poll is due. */
  look(): void {
    this.#exhausted.clear()
    this.#look(this.#urgent)
    this.#look(this.#broadcasts)
  }

  /** Claims more where few recipients are leased. */
  lookIfWanted(): void {
    const { crowded, rows, broadcasts } = this.#countLeased()
    const hasRoom = this.#passedOver.some((code) => !crowded.includes(code))
    if (hasRoom || !this.#urgent.isDrained) this.#look(this.#urgent)
    if (rows >= this.#enoughRows) return
    const few = fewOf(broadcasts)
    const isLow = [...broadcasts].some(([id, { left }]) => left <= few && !this.#exhausted.has(id))
    if (isLow || (broadcasts.size === 0 && !this.#broadcasts.isDrained)) this.#look(this.#broadcasts)
  }

  #look(kind: Kind): void {
    if (kind.isUnderWay) {
      kind.again = true
      return
    }
    kind.isUnderWay = true
    void this.#run(kind).finally(() => {
      kind.isUnderWay = false
      if (kind.again && !this.#stopped) {
        kind.again = false
        this.#look(kind)
      }
    })
  }

  async #run(kind: Kind): Promise<void> {
    try {
      while (!this.#stopped && (await kind.claim()));
    } catch (error) {
      this.#options.log.warn({ err: error }, 'failed to claim chunks, retrying at the next poll')
      // the database is away: more frequent claims would not find it sooner
      kind.isDrained = true
      for (const messageId of this.#countLeased().broadcasts.keys()) this.#exhausted.add(messageId)
    }
  }

  get #enoughRows(): number {
    return Math.min(mostRows, Math.max(fewRows, (this.#options.routes.pace * claimAheadMs) / 1_000))
  }

  /** Counts what is leased: chunks of one text, crowded short codes, and recipients of broadcasts, in all and of each. */
  #countLeased() {
    const ofCodes = new Map<number, number>()
    const broadcasts = new Map<number, { left: number; chunks: number }>()
    let [singles, rows] = [0, 0]
    for (const { chunk, left } of this.#options.leased()) {
      if (chunk.lane === lanes.broadcast) {
        const own = broadcasts.get(chunk.messageId) ?? { left: 0, chunks: 0 }
        broadcasts.set(chunk.messageId, { left: own.left + left, chunks: own.chunks + 1 })
        rows += left
      } else {
        singles++
        ofCodes.set(chunk.shortCodeId, (ofCodes.get(chunk.shortCodeId) ?? 0) + 1)
      }
    }
    const crowded = [...ofCodes].filter(([, count]) => count >= singlesAtOnce).map(([code]) => code)
    return { singles, crowded, rows, broadcasts }
  }

  /** Returns whether to claim again at once. */
  async #claimUrgent(): Promise<boolean> {
    const { db, clock, routes, instanceId, leaseMs } = this.#options
    const { singles, crowded } = this.#countLeased()
    const limit = Math.min(singlesAtOnce, mostSingles - singles)
    const codes = without(routes.sendable(), crowded)
    this.#passedOver = crowded
    this.#urgent.isDrained = true
    if (!codes || limit <= 0) return false
    const asked = performance.now()
    const [fromLane, toLane] = [lanes.system, lanes.transactional]
    const claim = { owner: instanceId, leaseMs, now: clock.now(), codes, limit }
    const chunks = await claimChunks(db, { ...claim, fromLane, toLane })
    this.#urgent.isDrained = chunks.length < limit
    await this.#hold(chunks, asked + leaseMs)
    return false
  }

  async #claimBroadcasts(): Promise<boolean> {
    const { db, clock, routes, instanceId, leaseMs } = this.#options
    const codes = routes.sendable()
    const { rows, broadcasts } = this.#countLeased()
    const chunksInHand = [...broadcasts.values()].reduce((sum, { chunks }) => sum + chunks, 0)
    if (!codes || chunksInHand >= mostBroadcastChunks) return false
    // with plenty leased, only broadcasts without any leased recipient are claimed
    const missing = this.#enoughRows - rows
    const few = missing <= 0 ? 0 : fewOf(broadcasts)
    const enough = [...broadcasts].filter(([, { left }]) => left > few).map(([messageId]) => messageId)
    const asked = performance.now()
    const limit = missing <= 0 ? broadcastChunks : Math.min(broadcastChunks, Math.ceil(missing / chunkRows))
    const claim = { owner: instanceId, leaseMs, now: clock.now(), codes, limit, enough, served: this.#served }
    const chunks = await claimBroadcasts(db, claim)
    this.#broadcasts.isDrained = chunks.length === 0 && enough.length === 0
    for (const [id, { left }] of broadcasts) {
      if (left <= few && !chunks.some(({ messageId }) => messageId === id)) this.#exhausted.add(id)
    }
    for (const { messageId } of chunks) {
      this.#served = [...this.#served.filter((id) => id !== messageId), messageId].slice(-1_000)
    }
    await this.#hold(chunks, asked + leaseMs)
    // as many as the limit, each of another broadcast: there may be more broadcasts without any
    return new Set(chunks.map((chunk) => chunk.messageId)).size === limit
  }

  async #hold(chunks: Chunk[], leaseUntil: number): Promise<void> {
    const { db, log, routes, leaseMs, take } = this.#options
    for (const chunk of chunks) {
      if (chunk.epoch > 1) {
        const abandoned = await abandonSubmitting(db, chunk)
        if (abandoned > 0) log.warn({ chunk: chunk.id, texts: abandoned }, 'took over a chunk with unconfirmed texts')
      }
      const needsCarriers = routes.needsCarriers(chunk.shortCodeId)
      const queue = await (needsCarriers ? listQueuedWithCarriers(db, chunk) : listQueued(db, chunk))
      take(new LeasedChunk(chunk, queue, leaseUntil, leaseMs, needsCarriers))
    }
  }
}

function without(codes: SendableCodes | undefined, others: number[]): SendableCodes | undefined {
  if (!codes || others.length === 0) return codes
  if (codes.allBut) return { allBut: true, ids: [...new Set([...codes.ids, ...others])] }
  const ids = codes.ids.filter((id) => !others.includes(id))
  return ids.length > 0 ? { allBut: false, ids } : undefined
}

/** Leased recipients of one broadcast below which more of it are claimed, beside this many other broadcasts. */
function fewOf(broadcasts: ReadonlyMap<number, unknown>): number {
  return Math.max(fewRows, mostRows / (broadcasts.size + 1))
}
