import { timing } from '../timing.ts'

const { aheadMinLatencyMs, markReserveMs, promptSlotMs } = timing

/** Maximum share of a window that is marked ahead: if the process dies, these texts become unknown. */
const maxWindowShare = 0.5

/**
 * Computes how many texts to mark before their window slots are free. A mark takes time, and if it started only when a slot is
 * free, that slot would stay empty during the mark.
 */
export class MarkAhead {
  // average duration of a mark
  #markingMs = 0

  /** Notes the duration of a mark; the average rises quickly and falls slowly. */
  noteMarking(ms: number): void {
    this.#markingMs += (ms - this.#markingMs) / (ms > this.#markingMs ? 4 : 32)
  }

  /**
   * Returns the number of texts to mark ahead: the slots that become free during a mark, given the response latency, and one
   * batch, but no more than will have a slot within `promptSlotMs`, and at most half of the window.
   */
  count(window: number, latencyMs: number, batch: number): number {
    if (latencyMs < aheadMinLatencyMs) return 0
    const freedDuringMark = Math.ceil((window * (this.#markingMs + markReserveMs)) / latencyMs)
    const freedInTime = Math.floor((window * promptSlotMs) / latencyMs)
    return Math.min(freedDuringMark + batch, freedInTime, Math.floor(window * maxWindowShare))
  }
}
