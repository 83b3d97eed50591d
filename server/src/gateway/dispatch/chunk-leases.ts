import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import { finishChunk, releaseChunks, renewLeases } from '../../log/leases.queries.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import { timing } from '../timing.ts'

const { strandedMs } = timing

export type ChunkLeasesOptions = {
  db: Db
  log: Logger
  routes: Pick<SendingRoutes, 'canSend'>
  leaseMs: number
  /** Whether the chunk's sending window is about to close, so that its recipients must wait for the next one. */
  isClosing(leased: LeasedChunk): boolean
}

/** The chunks that this gateway leases, sorted by lane. It renews, releases and finishes them. */
export class ChunkLeases {
  readonly #options: ChunkLeasesOptions
  #all: LeasedChunk[] = []

  constructor(options: ChunkLeasesOptions) {
    this.#options = options
  }

  get all(): readonly LeasedChunk[] {
    return this.#all
  }

  /** Adds a chunk behind the others of its lane. */
  add(leased: LeasedChunk): void {
    const index = this.#all.findIndex((other) => other.chunk.lane > leased.chunk.lane)
    this.#all.splice(index === -1 ? this.#all.length : index, 0, leased)
  }

  /** Drops finished chunks and lost ones without open texts, and closes the finished ones. Returns whether any was dropped. */
  dropFinished(): boolean {
    const done = this.#all.filter((leased) => leased.finished || (leased.lost && leased.open === 0))
    if (done.length === 0) return false
    this.#all = this.#all.filter((leased) => !done.includes(leased))
    for (const leased of done) if (!leased.lost) void this.#finish(leased)
    return true
  }

  async #finish({ chunk }: LeasedChunk): Promise<void> {
    const { db, log } = this.#options
    try {
      // if the response to a mark was lost, a row of the chunk is still open; the next lease of the chunk settles it
      if (!(await finishChunk(db, chunk))) await releaseChunks(db, [chunk])
    } catch (error) {
      log.warn({ err: error, chunk: chunk.id }, 'failed to close a chunk, its lease runs out')
    }
  }

  /** Renews all leases except those of stranded chunks, so that a gateway with a usable bind group can lease these. */
  async renew(): Promise<void> {
    const { db, log, leaseMs } = this.#options
    await this.#releaseUnusable()
    const renewed = this.#all.filter((each) => !each.lost && each.strandedSince === undefined)
    if (renewed.length === 0) return
    const startedAt = performance.now()
    try {
      const chunks = renewed.map((each) => each.chunk)
      const cancelledById = await renewLeases(db, leaseMs, chunks)
      for (const each of renewed) {
        if (cancelledById.has(each.chunk.id)) {
          each.leaseUntil = startedAt + leaseMs
          each.cancelled = cancelledById.get(each.chunk.id) === true
        } else if (this.#all.includes(each)) {
          each.lost = true
          log.warn({ chunk: each.chunk.id }, 'lost a chunk to another gateway')
        }
      }
    } catch (error) {
      log.warn({ err: error }, 'failed to renew chunk leases, retrying')
    }
  }

  /** Releases chunks without open texts that are stranded for `strandedMs`, whose window closes, or that must be reloaded. */
  async #releaseUnusable(): Promise<void> {
    const now = performance.now()
    for (const leased of this.#all) {
      const isStranded = !this.#options.routes.canSend(leased.chunk.shortCodeId)
      leased.strandedSince = isStranded ? (leased.strandedSince ?? now) : undefined
    }
    const unusable = this.#all.filter(
      (leased) =>
        !leased.lost &&
        leased.open === 0 &&
        (now - (leased.strandedSince ?? now) > strandedMs || this.#options.isClosing(leased) || leased.mustReload),
    )
    for (const leased of unusable) leased.lost = true
    await this.#release(unusable)
  }

  /** Releases all chunks without open texts. */
  async releaseAll(): Promise<void> {
    await this.#release(this.#all.filter((leased) => !leased.lost && leased.open === 0))
  }

  async #release(leased: LeasedChunk[]): Promise<void> {
    if (leased.length === 0) return
    const { db, log } = this.#options
    const chunks = leased.map(({ chunk }) => chunk)
    await releaseChunks(db, chunks).catch((error) =>
      log.warn({ err: error }, 'failed to release chunks, their leases run out'),
    )
  }
}
