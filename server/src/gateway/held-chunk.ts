import type { Chunk } from '../broadcasts/chunks.queries.ts'
import type { Recipient } from '../broadcasts/marks.queries.ts'
import { Text } from './text.ts'

/** In the last second of a lease nothing is written: a frozen process must not wake up and send beside its successor. */
const leaseReserveMs = 1_000

/** A chunk under lease: who is still to be texted, and how many texts are on their way. */
export class HeldChunk {
  readonly chunk: Chunk
  readonly text: Text
  readonly #queue: Recipient[]
  #next = 0
  #retries: Array<{ recipient: Recipient; notBefore: number }> = []
  /** Texts that are marked and not yet recorded as sent, bounced, unknown or queued again. */
  open = 0
  /** Another gateway has it, or it is closed: nothing more is sent from it. */
  lost = false
  /** Its message is cancelled, as the last renewal found; each mark finds out for itself. */
  cancelled = false
  leaseUntil: number
  readonly #reserveMs: number
  /** Since when there has been no line that could take it (monotonic milliseconds). */
  strandedSince: number | undefined

  constructor(chunk: Chunk, queue: Recipient[], leaseUntil: number, leaseMs: number) {
    this.chunk = chunk
    this.text = new Text(chunk)
    this.#queue = queue
    this.leaseUntil = leaseUntil
    this.#reserveMs = Math.min(leaseReserveMs, leaseMs / 4)
  }

  /** Whether a PDU may be written now (monotonic milliseconds). */
  mayWrite(now: number): boolean {
    return !this.lost && now < this.leaseUntil - this.#reserveMs
  }

  /** Whether what is left of a text that has begun may be written now: no mark asks again whether it may. */
  mayGoOn(now: number): boolean {
    return !this.cancelled && this.mayWrite(now)
  }

  /** Recipients that can be marked now. */
  ready(now: number): number {
    let retries = 0
    for (const retry of this.#retries) if (retry.notBefore <= now) retries++
    return this.#queue.length - this.#next + retries
  }

  /** Recipients left, those that wait for a retry included. */
  get left(): number {
    return this.#queue.length - this.#next + this.#retries.length
  }

  /** The soonest retry's time; infinity when none waits. */
  get nextRetry(): number {
    let soonest = Number.POSITIVE_INFINITY
    for (const retry of this.#retries) soonest = Math.min(soonest, retry.notBefore)
    return soonest
  }

  get finished(): boolean {
    return this.left === 0 && this.open === 0
  }

  /** The next recipients in ascending order of their ids, retries that are due before all others. */
  take(count: number, now: number): Recipient[] {
    let taken: Recipient[] = []
    if (this.#retries.length > 0) {
      const due = this.#retries.filter((retry) => retry.notBefore <= now).slice(0, count)
      const chosen = new Set(due)
      this.#retries = this.#retries.filter((retry) => !chosen.has(retry))
      taken = due.map((retry) => retry.recipient).sort((a, b) => a.id - b.id)
    }
    if (taken.length > 0) return taken
    const rest = this.#queue.slice(this.#next, this.#next + count)
    this.#next += rest.length
    return rest
  }

  retry(recipients: Recipient[], notBefore: number): void {
    for (const recipient of recipients) this.#retries.push({ recipient, notBefore })
  }
}
