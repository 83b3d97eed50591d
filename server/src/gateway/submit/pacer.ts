import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'

const { strokeMs, waitLookMs, waitMaxMs } = timing

export type Write = {
  caps: CapSet
  /** Goes before all others that wait. */
  urgent: boolean
  /** Its time has come: writes it, and uses or releases its token. */
  write(): void
  /** Its time did not come: releases its token. */
  giveUp(): void
}

type Waiting = { entry: Write; since: number }

/** Holds what is marked and has its token reserved until the token is ready, which is a moment later at most. */
export class Pacer {
  // by caps, in order; what is under the same caps comes ready in turn
  readonly #urgent = new Map<CapSet, Waiting[]>()
  readonly #others = new Map<CapSet, Waiting[]>()
  #timer: NodeJS.Timeout | undefined
  // when it looks again
  #nextAt = Number.POSITIVE_INFINITY
  #isRunning = false
  #hasMore = false

  /** Writes at once where no cap is set. */
  add(entry: Write): void {
    if (entry.caps.isUnlimited) {
      entry.write()
      return
    }
    const queues = entry.urgent ? this.#urgent : this.#others
    const waiting = { entry, since: performance.now() }
    const queue = queues.get(entry.caps)
    if (queue) queue.push(waiting)
    else queues.set(entry.caps, [waiting])
    if (this.#isRunning) this.#hasMore = true
    else this.#runAt(waiting.since)
  }

  /** Looks at this time, unless it looks sooner anyway: another cap's next token may be far away. */
  #runAt(at: number): void {
    if (at >= this.#nextAt) return
    clearTimeout(this.#timer)
    this.#nextAt = at
    this.#timer = setTimeout(this.#run, Math.max(0, at - performance.now()))
  }

  readonly #run = (): void => {
    this.#nextAt = Number.POSITIVE_INFINITY
    this.#isRunning = true
    this.#hasMore = false
    let next = Number.POSITIVE_INFINITY
    for (const queues of [this.#urgent, this.#others]) {
      for (const [caps, queue] of queues) {
        next = Math.min(next, drain(caps, queue))
        if (queue.length === 0) queues.delete(caps)
      }
    }
    this.#isRunning = false
    if (this.#urgent.size + this.#others.size === 0) return
    // looks again soon enough to give up what waits in vain
    const now = performance.now()
    this.#runAt(this.#hasMore ? now : now + Math.min(Math.max(next - now, strokeMs), waitLookMs))
  }
}

/** Writes what is ready, gives up what has waited too long, and answers when there is more to do. */
function drain(caps: CapSet, queue: Waiting[]): number {
  let done = 0
  let now = performance.now()
  for (; done < queue.length; done++, now = performance.now()) {
    const { entry, since } = queue[done] as Waiting
    if (caps.isReady(now)) entry.write()
    else if (now - since > waitMaxMs) entry.giveUp()
    else break
  }
  queue.splice(0, done)
  return queue.length === 0 ? Number.POSITIVE_INFINITY : caps.readyAt(now)
}
