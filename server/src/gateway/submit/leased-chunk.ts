import type { Chunk, Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { leaseTiming } from '../timing.ts'
import { ChunkEncoder } from './chunk-encoder.ts'

type Retry = { recipient: Recipient; notBefore: number }
type Among = (recipient: Recipient) => boolean

/** A chunk under lease: who is still to be texted, and how many texts are on their way. */
export class LeasedChunk {
  readonly chunk: Chunk
  // by connection, as long as it is not changed
  readonly #texts = new Map<number, { version: number; text: ChunkEncoder; pduCount: number }>()
  #queue: Recipient[]
  #next = 0
  #retries: Retry[] = []
  /** Texts that are marked and not yet recorded as sent, bounced, unknown or queued again. */
  open = 0
  /** Another gateway has it, or it is closed: nothing more is sent from it. */
  lost = false
  /** Its message is cancelled, as the last renewal found; each mark finds out for itself. */
  cancelled = false
  leaseUntil: number
  readonly #reserveMs: number
  /** A connection asks by now for what was not asked for when it was leased. */
  mustBeListedAnew = false
  /** Since when there has been no line that could take it (monotonic milliseconds). */
  strandedSince: number | undefined

  /** Whether it is known whose handsets they have. */
  readonly knowsCarriers: boolean

  constructor(chunk: Chunk, queue: Recipient[], leaseUntil: number, leaseMs: number, knowsCarriers = false) {
    this.chunk = chunk
    this.knowsCarriers = knowsCarriers
    this.#queue = queue
    this.leaseUntil = leaseUntil
    this.#reserveMs = leaseTiming(leaseMs).reserveMs
  }

  /** Its texts as this line wants them, and how many PDUs the longest of them takes. */
  textsFor({ connection }: BindGroup): { text: ChunkEncoder; pduCount: number } {
    const known = this.#texts.get(connection.id)
    if (known?.version === connection.version) return known
    const text = new ChunkEncoder(this.chunk, connection)
    let pduCount = 1
    for (const recipient of this.#queue) pduCount = Math.max(pduCount, text.pduCount(recipient))
    const made = { version: connection.version, text, pduCount }
    this.#texts.set(connection.id, made)
    return made
  }

  /** Whether a PDU may be written now (monotonic milliseconds). */
  mayWrite(now: number): boolean {
    return !this.lost && now < this.leaseUntil - this.#reserveMs
  }

  /** Whether what is left of a text that has begun may be written now: no mark asks again whether it may. */
  mayGoOn(now: number): boolean {
    return !this.cancelled && this.mayWrite(now)
  }

  /** Recipients that can be marked now, of all or of these. */
  ready(now: number, among?: Among): number {
    let ready = among ? 0 : this.#queue.length - this.#next
    if (among) for (let at = this.#next; at < this.#queue.length; at++) if (among(this.#queue[at] as Recipient)) ready++
    for (const { recipient, notBefore } of this.#retries) if (notBefore <= now && (!among || among(recipient))) ready++
    return ready
  }

  /** Recipients left, those that wait for a retry included. */
  get left(): number {
    return this.#queue.length - this.#next + this.#retries.length
  }

  get finished(): boolean {
    return this.left === 0 && this.open === 0
  }

  /** The next recipients, of all or of these, in ascending order of their ids, retries that are due before all others. */
  take(count: number, now: number, among?: Among): Recipient[] {
    if (this.#retries.length > 0) {
      const isDue = ({ recipient, notBefore }: Retry) => notBefore <= now && (!among || among(recipient))
      const chosen = new Set(this.#retries.filter(isDue).slice(0, count))
      this.#retries = this.#retries.filter((retry) => !chosen.has(retry))
      if (chosen.size > 0) return [...chosen].map(({ recipient }) => recipient).sort((a, b) => a.id - b.id)
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

  retry(recipients: Recipient[], notBefore: number): void {
    for (const recipient of recipients) this.#retries.push({ recipient, notBefore })
  }
}
