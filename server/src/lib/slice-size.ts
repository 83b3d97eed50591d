const firstRows = 200
const targetMs = 250
const growth = 5

/**
 * The number of rows of the next slice of some work, learned from how long earlier slices took, because a row may be
 * 20 bytes or 2 MB. Begins with 200 rows, and aims at a quarter of a second per slice.
 */
export class SliceSize {
  readonly #most: number
  #rows: number

  /** `most` is the maximum number of rows. */
  constructor(most: number) {
    this.#most = most
    this.#rows = Math.min(firstRows, most)
  }

  get rows(): number {
    return this.#rows
  }

  /** Reports that `rows` rows took `ms` milliseconds. */
  took(rows: number, ms: number): void {
    const fitting = Math.floor((rows * targetMs) / Math.max(ms, 1))
    this.#rows = Math.max(1, Math.min(fitting, rows * growth, this.#most))
  }

  /** Reports that a slice failed, perhaps because it was too large. */
  failed(): void {
    this.#rows = Math.max(1, Math.floor(this.#rows / growth))
  }
}
