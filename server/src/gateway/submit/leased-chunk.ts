import type { Chunk, Recipient } from '../../log/chunk.ts'
import { lanes } from '../../messages/messages.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { leaseTiming } from '../timing.ts'
import { ChunkEncoder } from './chunk-encoder.ts'

type Filter = (recipient: Recipient) => boolean

/** A chunk under lease: the recipients that are not marked yet, and the number of texts whose outcomes are not recorded yet. */
export class LeasedChunk {
  readonly chunk: Chunk
  // by connection id; replaced when the connection's version changes
  readonly #encoders = new Map<number, { version: number; encoder: ChunkEncoder; pduCount: number }>()
  #queue: Recipient[]
  #next = 0
  // recipients to be marked again, before all others
  #retries: Recipient[] = []
  // number of recipients in the waiting room, which are added to #retries later
  #delayed = 0
  /** Number of texts that are marked and not yet recorded as sent, bounced, unknown or requeued. */
  open = 0
  /** Whether another gateway leases the chunk or it is released, so that no more texts of it may be sent. */
  lost = false
  /** Whether its message was cancelled at the last renewal of the lease; each mark checks that again. */
  cancelled = false
  leaseUntil: number
  readonly #reserveMs: number
  /** Whether the chunk must be leased again with its recipients' carriers, because a connection has got caps for carriers. */
  mustReload = false
  /** Since when its short code has had no usable bind group (monotonic milliseconds). */
  strandedSince: number | undefined

  /** Whether its recipients' carriers were loaded. */
  readonly hasCarriers: boolean

  constructor(chunk: Chunk, queue: Recipient[], leaseUntil: number, leaseMs: number, hasCarriers = false) {
    this.chunk = chunk
    this.hasCarriers = hasCarriers
    this.#queue = queue
    this.leaseUntil = leaseUntil
    this.#reserveMs = leaseTiming(leaseMs).reserveMs
  }

  /** Whether its texts are sent before those of broadcasts. */
  get isUrgent(): boolean {
    return this.chunk.lane !== lanes.broadcast
  }

  /** Returns the encoder of its texts for this bind group, and the number of PDUs of the longest text. */
  encoderFor({ connection }: BindGroup): { encoder: ChunkEncoder; pduCount: number } {
    const known = this.#encoders.get(connection.id)
    if (known?.version === connection.version) return known
    const encoder = new ChunkEncoder(this.chunk, connection)
    let pduCount = 1
    for (const recipient of this.#queue) pduCount = Math.max(pduCount, encoder.pduCount(recipient))
    const entry = { version: connection.version, encoder, pduCount }
    this.#encoders.set(connection.id, entry)
    return entry
  }

  /** Whether a PDU may be written now (monotonic milliseconds). */
  mayWrite(now: number): boolean {
    return !this.lost && now < this.leaseUntil - this.#reserveMs
  }

  /** Whether remaining parts of a text may be written now; unlike for new texts, no mark checks for a cancel. */
  mayContinue(now: number): boolean {
    return !this.cancelled && this.mayWrite(now)
  }

  /** Number of recipients that can be marked now, of all or of those that match the filter. */
  ready(filter?: Filter): number {
    if (!filter) return this.#queue.length - this.#next + this.#retries.length
    let ready = 0
    for (let n = this.#next; n < this.#queue.length; n++) if (filter(this.#queue[n] as Recipient)) ready++
    for (const recipient of this.#retries) if (filter(recipient)) ready++
    return ready
  }

  /** Number of recipients that are not marked, including those that wait for a retry. */
  get remaining(): number {
    return this.#queue.length - this.#next + this.#retries.length + this.#delayed
  }

  get finished(): boolean {
    return this.remaining === 0 && this.open === 0
  }

  /** Removes and returns the next recipients, of all or of those that match the filter: retries first, then by ascending id. */
  take(count: number, filter?: Filter): Recipient[] {
    if (this.#retries.length > 0) {
      const chosen = new Set((filter ? this.#retries.filter(filter) : this.#retries).slice(0, count))
      if (chosen.size > 0) {
        this.#retries = this.#retries.filter((recipient) => !chosen.has(recipient))
        return [...chosen].sort((a, b) => a.id - b.id)
      }
    }
    if (filter) return this.#takeMatching(count, filter)
    const taken = this.#queue.slice(this.#next, this.#next + count)
    this.#next += taken.length
    return taken
  }

  #takeMatching(count: number, filter: Filter): Recipient[] {
    const taken: Recipient[] = []
    const others: Recipient[] = []
    for (let n = this.#next; n < this.#queue.length; n++) {
      const recipient = this.#queue[n] as Recipient
      if (taken.length < count && filter(recipient)) taken.push(recipient)
      else others.push(recipient)
    }
    this.#queue = others
    this.#next = 0
    return taken
  }

  /** Counts recipients that were requeued and wait for their retry in the waiting room. */
  addDelayed(count: number): void {
    this.#delayed += count
  }

  /** Makes recipients available again that were counted by `addDelayed`. */
  requeue(recipients: Recipient[]): void {
    this.#delayed -= recipients.length
    this.#retries.push(...recipients)
  }
}
