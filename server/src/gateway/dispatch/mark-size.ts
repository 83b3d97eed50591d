import { timing } from '../timing.ts'

const { slowMarkMs } = timing

/** Maximum recipients of one mark. 250 cost little more than 100; more would become unknown if the process dies. */
const maxRows = 250
const minRows = 16

/** The maximum number of recipients per mark, halved after a slow mark so that marks are fresh when their texts are written. */
export class MarkSize {
  #rows = maxRows

  get rows(): number {
    return this.#rows
  }

  /** Notes the duration of a mark. */
  note(ms: number): void {
    this.#rows = ms > slowMarkMs ? Math.max(minRows, this.#rows >> 1) : Math.min(maxRows, this.#rows * 2)
  }
}
