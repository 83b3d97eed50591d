import { timing } from '../timing.ts'

const { aheadMinLatencyMs, markReserveMs, promptSlotMs } = timing

/** The largest part of a window that is given away before it is free: those texts end as unknown when the process dies. */
const maxShare = 0.5

/**
 * How many texts to mark before their window slots are free. Marks take time, and a window that is filled only when a slot
 * has come free is partly empty for that time.
 */
export class MarkAhead {
  #markingMs = 0

  /** A mark took this long. Longer times count soon, shorter ones slowly. */
  noteMarking(ms: number): void {
    this.#markingMs += (ms - this.#markingMs) / (ms > this.#markingMs ? 4 : 32)
  }

  /** Slots of a window that come free while a mark is made, and one more batch, with responses of this latency. */
  count(window: number, latencyMs: number, batch: number): number {
    if (latencyMs < aheadMinLatencyMs) return 0
    const soon = Math.ceil((window * (this.#markingMs + markReserveMs)) / latencyMs)
    const prompt = Math.floor((window * promptSlotMs) / latencyMs)
    return Math.min(soon + batch, prompt, Math.floor(window * maxShare))
  }
}
