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
  /** All that is in hand. */
  leased(): readonly LeasedChunk[]
  /** Takes a chunk that was leased. */
  take(leased: LeasedChunk): void
  /** How often work is looked for that no notice told of; left out, four times a second. */
  pollMs?: number
}

/** Recipients of broadcasts in hand below which more chunks are leased, and how many chunks at a time. */
const mostRows = 3_000
const broadcastChunks = 4
const chunkRows = 1_000
/** Chunks of broadcasts in hand at most, and recipients of one of them below which it is asked for again. */
const mostBroadcastChunks = 64
const fewRows = 250
/**
 * Texts to one number in hand at most: each is a chunk of its own, to be renewed, and others may send them as well. Of one
 * short code only so many more are asked for at a time, and none while it has as many: where they leave slowly, those of
 * other short codes must not wait for them.
 */
const mostSingles = 2_000
const singlesAtOnce = 50

/** One kind of work, asked for by one call at a time. */
type Kind = {
  isUnderWay: boolean
  again: boolean
  /** There was no more of it when last asked: the next notice or poll asks again. */
  isDrained: boolean
  claim(): Promise<boolean>
}

/** Leases chunks: urgent texts, and beside them those of broadcasts, in turn. */
export class Claims {
  readonly #options: ClaimsOptions
  readonly #urgent: Kind
  readonly #broadcasts: Kind
  // those that we were given chunks of, longest ago first
  #served: number[] = []
  // short codes with so many texts in hand that no more were asked for
  #passedOver: number[] = []
  // broadcasts in hand that had no more when last asked: the next notice or poll asks again
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

  /** There may be chunks to lease: a notice came, or the time to ask. */
  look(): void {
    this.#exhausted.clear()
    this.#look(this.#urgent)
    this.#look(this.#broadcasts)
  }

  /** Asks for more where there is little in hand. */
  lookIfWanted(): void {
    const { crowded, rows, broadcasts } = this.#inHand()
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
      this.#options.log.warn({ err: error }, 'could not lease chunks')
      // the database is away, and the next poll is soon enough to find it back
      kind.isDrained = true
      for (const messageId of this.#inHand().broadcasts.keys()) this.#exhausted.add(messageId)
    }
  }

  get #enoughRows(): number {
    return Math.min(mostRows, Math.max(fewRows, (this.#options.routes.pace * claimAheadMs) / 1_000))
  }

  /** Chunks of one text, the short codes that have enough of these, and recipients of broadcasts, in all and of each. */
  #inHand() {
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

  /** Answers whether to ask again at once. */
  async #claimUrgent(): Promise<boolean> {
    const { db, clock, routes, instanceId, leaseMs } = this.#options
    const { singles, crowded } = this.#inHand()
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
    const { rows, broadcasts } = this.#inHand()
    const chunksInHand = [...broadcasts.values()].reduce((sum, { chunks }) => sum + chunks, 0)
    if (!codes || chunksInHand >= mostBroadcastChunks) return false
    // with plenty in hand only those broadcasts are asked for that have nothing there
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
    // as many as were asked for, each of another broadcast: there may be more that have nothing in hand yet
    return new Set(chunks.map((chunk) => chunk.messageId)).size === limit
  }

  async #hold(chunks: Chunk[], leaseUntil: number): Promise<void> {
    const { db, log, routes, leaseMs, take } = this.#options
    for (const chunk of chunks) {
      if (chunk.epoch > 1) {
        const abandoned = await abandonSubmitting(db, chunk)
        if (abandoned > 0) log.warn({ chunk: chunk.id }, 'took a chunk over with texts in doubt')
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

/** Recipients of one broadcast in hand below which more of it is asked for, when there are so many beside it. */
function fewOf(broadcasts: ReadonlyMap<number, unknown>): number {
  return Math.max(fewRows, mostRows / (broadcasts.size + 1))
}
