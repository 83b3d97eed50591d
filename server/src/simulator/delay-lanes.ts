import { Fifo } from './fifo.ts'

/** An entry of a lane; withdraw() removes its item. */
type Waiting<T> = { item: T | undefined; dueAt: number }

/**
 * Delays items without a timer each. All items with the same delay are one queue (a lane), due in the order of their
 * arrival. Delays are few (a setting, or that of a fate), so finding the due items reads a handful of queue heads.
 */
export class DelayLanes<T> {
  readonly #lanes = new Map<number, Fifo<Waiting<T>>>()
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T, delayMs: number, now: number): void {
    let lane = this.#lanes.get(delayMs)
    if (!lane) {
      lane = new Fifo()
      this.#lanes.set(delayMs, lane)
    }
    lane.push({ item, dueAt: now + delayMs })
    this.#length++
  }

  /** When the next item is due; Infinity when nothing waits. */
  nextDueAt(): number {
    let next = Number.POSITIVE_INFINITY
    for (const lane of this.#lanes.values()) next = Math.min(next, lane.peek()?.dueAt ?? next)
    return next
  }

  /** Removes every due item and passes it to `take`, each lane in its own order. */
  takeDue(now: number, take: (item: T) => void): void {
    for (const [delayMs, lane] of this.#lanes) {
      for (let head = lane.peek(); head !== undefined && head.dueAt <= now; head = lane.peek()) {
        lane.shift()
        if (head.item === undefined) continue
        this.#length--
        take(head.item)
      }
      if (lane.length === 0) this.#lanes.delete(delayMs)
    }
  }

  *[Symbol.iterator](): Generator<T> {
    for (const lane of this.#lanes.values()) {
      for (const { item } of lane) if (item !== undefined) yield item
    }
  }

  /** Removes and returns all matching items, due or not; scans every item. */
  withdraw(matches: (item: T) => boolean): T[] {
    const withdrawn: T[] = []
    for (const lane of this.#lanes.values()) {
      for (const waiting of lane) {
        if (waiting.item === undefined || !matches(waiting.item)) continue
        withdrawn.push(waiting.item)
        waiting.item = undefined
        this.#length--
      }
    }
    return withdrawn
  }

  clear(): void {
    this.#lanes.clear()
    this.#length = 0
  }
}
