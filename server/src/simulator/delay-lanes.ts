import { Fifo } from './fifo.ts'

/** An entry of a lane; withdraw() removes its item. */
type LaneEntry<T> = { item: T | undefined; dueAt: number }

/**
 * Delays items without a timer per item. All items with the same delay are in one queue (a lane), in the order of their
 * arrival. There are few different delays (a setting, or the delay of a fate), so takeDue() checks only a few queue heads.
 */
export class DelayLanes<T> {
  readonly #lanes = new Map<number, Fifo<LaneEntry<T>>>()
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

  /** Returns the time at which the next item is due; Infinity if there is none. */
  nextDueAt(): number {
    let next = Number.POSITIVE_INFINITY
    for (const lane of this.#lanes.values()) next = Math.min(next, lane.peek()?.dueAt ?? next)
    return next
  }

  /** Removes every due item and passes it to `take`, in the order of each lane. */
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

  /** Removes and returns all matching items, due or not, after a scan of all items. */
  withdraw(matches: (item: T) => boolean): T[] {
    const withdrawn: T[] = []
    for (const lane of this.#lanes.values()) {
      for (const entry of lane) {
        if (entry.item === undefined || !matches(entry.item)) continue
        withdrawn.push(entry.item)
        entry.item = undefined
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
