/** A row of the largest values can take 65 ms (measured in November 2026), so the first slice takes at most about a second. */
const firstRows = 20
const targetMs = 250
const maxTargetMs = 2_000
/** A slice is aimed to last at least this many times as long as its beginning, whose time does not depend on the rows. */
const targetBeginnings = 8
const growth = 5

/**
 * The number of rows of the next slice of some work, learned from how long earlier slices took, because a row may be
 * 20 bytes or 2 MB. Begins with 20 rows, and aims at a quarter of a second per slice; at more, up to two seconds, on a machine
 * that is so busy that most of this would be spent on beginning slices.
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

  /** Reports that `rows` rows took `ms` milliseconds, with `beginningMs` for what a slice of any size begins with. */
  took(rows: number, ms: number, beginningMs = 0): void {
    const target = Math.min(maxTargetMs, Math.max(targetMs, targetBeginnings * beginningMs))
    const fitting = Math.floor((rows * Math.max(target - beginningMs, targetMs)) / Math.max(ms - beginningMs, 1))
    this.#rows = Math.max(1, Math.min(fitting, rows * growth, this.#most))
  }

  /** Reports that a slice failed, perhaps because it was too large. */
  failed(): void {
    this.#rows = Math.max(1, Math.floor(this.#rows / growth))
  }
}

/** Maximum number of units of work; beyond it, the one that was used least recently begins again. */
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
    const size = this.#sizes.get(id) ?? new SliceSize(this.#most)
    // in the order of their last use
    this.#sizes.delete(id)
    this.#sizes.set(id, size)
    const [oldest] = this.#sizes.keys()
    // work that another process finished stays until it is the oldest
    if (oldest !== undefined && this.#sizes.size > maxSizes) this.#sizes.delete(oldest)
    return size
  }

  /** Deletes the size for a unit of work that has ended. */
  delete(id: number): void {
    this.#sizes.delete(id)
  }
}
