import { timing } from '../timing.ts'

const { slowMarkMs } = timing

/** Recipients of one mark: 250 cost little more than 100, and as many may end as unknown when the process dies. */
const maxRows = 250
const minRows = 16

/** How many recipients to mark at once: half as many after a slow mark, so that marks are fresh when their texts are written. */
export class MarkSize {
  #rows = maxRows

  get rows(): number {
    return this.#rows
  }

  /** A mark took this long. */
  note(ms: number): void {
    this.#rows = ms > slowMarkMs ? Math.max(minRows, this.#rows >> 1) : Math.min(maxRows, this.#rows * 2)
  }
}
