import type { Chunk, Recipient } from '../../log/chunk.ts'
import { lanes } from '../../messages/messages.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { leaseTiming } from '../timing.ts'
import { ChunkEncoder } from './chunk-encoder.ts'

type Among = (recipient: Recipient) => boolean

/** A chunk under lease: the recipients still to be texted, and how many texts are on their way. */
export class LeasedChunk {
  readonly chunk: Chunk
  // by connection, until its row changes
  readonly #encoders = new Map<number, { version: number; encoder: ChunkEncoder; pduCount: number }>()
  #queue: Recipient[]
  #next = 0
  // to be marked again, before all others
  #again: Recipient[] = []
  // in the waiting room: #again gets them later
  #expected = 0
  /** Texts that are marked and not yet recorded as sent, bounced, unknown or queued again. */
  open = 0
  /** Another gateway has it, or it is closed: nothing more is sent from it. */
  lost = false
  /** Its message is cancelled, as the last renewal found; each mark finds out for itself. */
  cancelled = false
  leaseUntil: number
  readonly #reserveMs: number
  /** A connection got caps for carriers after this chunk was leased without the carriers of its handsets. */
  mustBeListedAnew = false
  /** Since when no bind group could take it (monotonic milliseconds). */
  strandedSince: number | undefined

  /** Whether the carriers of its handsets are known. */
  readonly knowsCarriers: boolean

  constructor(chunk: Chunk, queue: Recipient[], leaseUntil: number, leaseMs: number, knowsCarriers = false) {
    this.chunk = chunk
    this.knowsCarriers = knowsCarriers
    this.#queue = queue
    this.leaseUntil = leaseUntil
    this.#reserveMs = leaseTiming(leaseMs).reserveMs
  }

  /** Whether its texts go before those of broadcasts. */
  get isUrgent(): boolean {
    return this.chunk.lane !== lanes.broadcast
  }

  /** The encoder of its texts for this bind group, and the number of PDUs of the longest one. */
  encoderFor({ connection }: BindGroup): { encoder: ChunkEncoder; pduCount: number } {
    const known = this.#encoders.get(connection.id)
    if (known?.version === connection.version) return known
    const encoder = new ChunkEncoder(this.chunk, connection)
    let pduCount = 1
    for (const recipient of this.#queue) pduCount = Math.max(pduCount, encoder.pduCount(recipient))
    const made = { version: connection.version, encoder, pduCount }
    this.#encoders.set(connection.id, made)
    return made
  }

  /** Whether a PDU may be written now (monotonic milliseconds). */
  mayWrite(now: number): boolean {
    return !this.lost && now < this.leaseUntil - this.#reserveMs
  }

  /** Whether further parts of a text may be written now: no mark checks the message again for them. */
  mayContinue(now: number): boolean {
    return !this.cancelled && this.mayWrite(now)
  }

  /** Recipients that can be marked now, of all or of these. */
  ready(among?: Among): number {
    if (!among) return this.#queue.length - this.#next + this.#again.length
    let ready = 0
    for (let at = this.#next; at < this.#queue.length; at++) if (among(this.#queue[at] as Recipient)) ready++
    for (const recipient of this.#again) if (among(recipient)) ready++
    return ready
  }

  /** Recipients left, those that wait for a retry included. */
  get left(): number {
    return this.#queue.length - this.#next + this.#again.length + this.#expected
  }

  get finished(): boolean {
    return this.left === 0 && this.open === 0
  }

  /** The next recipients, of all or of these, in ascending order of their ids; retries before all others. */
  take(count: number, among?: Among): Recipient[] {
    if (this.#again.length > 0) {
      const chosen = new Set((among ? this.#again.filter(among) : this.#again).slice(0, count))
      if (chosen.size > 0) {
        this.#again = this.#again.filter((recipient) => !chosen.has(recipient))
        return [...chosen].sort((a, b) => a.id - b.id)
      }
    }
    if (among) return this.#pick(count, among)
    const rest = this.#queue.slice(this.#next, this.#next + count)
    this.#next += rest.length
    return rest
  }

  #pick(count: number, among: Among): Recipient[] {
    const picked: Recipient[] = []
    const others: Recipient[] = []
    for (let at = this.#next; at < this.#queue.length; at++) {
      const recipient = this.#queue[at] as Recipient
      if (picked.length < count && among(recipient)) picked.push(recipient)
      else others.push(recipient)
    }
    this.#queue = others
    this.#next = 0
    return picked
  }

  /** This many recipients are queued again, and wait for their retry in the waiting room. */
  expect(count: number): void {
    this.#expected += count
  }

  /** These recipients, which were expected, may be marked again. */
  offerAgain(recipients: Recipient[]): void {
    this.#expected -= recipients.length
    this.#again.push(...recipients)
  }
}
