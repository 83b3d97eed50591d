import { timing } from '../timing.ts'

const { aheadMinLatencyMs, markReserveMs, promptSlotMs, waitLookMs, waitMaxMs } = timing
/** The part of a window that is given away before it is free, at most: it is in doubt as well when the process dies. */
const mostShare = 0.5

/** A marked text that waits for its place. */
export type WaitingText = {
  /** Goes before all others that wait. */
  urgent: boolean
  /** There is a place: takes it. */
  write(): void
  /** There will be none soon enough. */
  giveUp(): void
}

/**
 * Marks take time, and a window that is filled only when a place has come free stands partly empty for just that time. So
 * as many texts as will have places when they are marked are marked ahead, and wait here, urgent ones first, for the
 * answers that make room.
 */
export class PlacesAhead {
  readonly #urgent: Array<WaitingText & { since: number }> = []
  readonly #others: Array<WaitingText & { since: number }> = []
  #markingMs = 0
  #timer: NodeJS.Timeout | undefined

  /** Rows whose places were reserved took so long to be marked. */
  noteMarking(ms: number): void {
    // soon believed when it grows, late when it falls
    this.#markingMs += (ms - this.#markingMs) / (ms > this.#markingMs ? 4 : 32)
  }

  /** Places of so many that will come free while a mark is being made, and as many more as a mark takes at a time. */
  count(window: number, latencyMs: number, batch: number): number {
    if (latencyMs < aheadMinLatencyMs) return 0
    const soon = Math.ceil((window * (this.#markingMs + markReserveMs)) / latencyMs)
    const prompt = Math.floor((window * promptSlotMs) / latencyMs)
    return Math.min(soon + batch, prompt, Math.floor(window * mostShare))
  }

  add(text: WaitingText): void {
    const queue = text.urgent ? this.#urgent : this.#others
    queue.push({ ...text, since: performance.now() })
    this.#timer ??= setTimeout(this.#look, waitLookMs)
  }

  /** Places came free: lets them go for as long as there is one. */
  fill(hasPlace: () => boolean): void {
    for (const queue of [this.#urgent, this.#others]) {
      let gone = 0
      while (gone < queue.length && hasPlace()) queue[gone++]?.write()
      queue.splice(0, gone)
    }
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const until = performance.now() - waitMaxMs
    for (const queue of [this.#urgent, this.#others]) {
      const late = queue.findIndex((text) => text.since > until)
      for (const text of queue.splice(0, late === -1 ? queue.length : late)) text.giveUp()
    }
    if (this.#urgent.length + this.#others.length > 0) this.#timer = setTimeout(this.#look, waitLookMs)
  }
}
