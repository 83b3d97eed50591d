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

const maxSizes = 1_000

/** The sizes of the slices of several units of work, by id. In memory, because another process learns them within two slices. */
export class SliceSizes {
  readonly #most: number
  readonly #sizes = new Map<number, SliceSize>()

  /** `most` is the maximum number of rows of a slice. */
  constructor(most: number) {
    this.#most = most
  }

  /** Returns the size for a unit of work. */
  of(id: number): SliceSize {
    const known = this.#sizes.get(id)
    if (known) return known
    // sizes of work that another process finished
    if (this.#sizes.size >= maxSizes) this.#sizes.clear()
    const size = new SliceSize(this.#most)
    this.#sizes.set(id, size)
    return size
  }

  /** Deletes the size for a unit of work that has ended. */
  delete(id: number): void {
    this.#sizes.delete(id)
  }
}
