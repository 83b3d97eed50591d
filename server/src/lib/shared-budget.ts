/**
 * Shares a limited amount of something (bytes, places) among owners. An owner may take as long as others could still take the
 * same: after a take, at least as much is free as the owner has. One owner gets at most half of everything, and each of n
 * owners an (n + 1)th, so an owner that has nothing always finds something free. (The rule is known from switches as dynamic
 * thresholds: Choudhury and Hahne, 1998.)
 */
export class SharedBudget<Owner> {
  readonly #perOwner: number
  readonly #taken = new Map<Owner, number>()
  #free: number

  constructor(total: number, perOwner = total) {
    this.#free = total
    this.#perOwner = perOwner
  }

  get free(): number {
    return this.#free
  }

  /** Returns the amount that an owner has taken. */
  takenBy(owner: Owner): number {
    return this.#taken.get(owner) ?? 0
  }

  /** Takes an amount for the owner and returns true, or returns false if that would exceed its share. */
  take(owner: Owner, amount: number): boolean {
    const taken = this.takenBy(owner) + amount
    const free = this.#free - amount
    if (taken > this.#perOwner || taken > free) return false
    this.#taken.set(owner, taken)
    this.#free = free
    return true
  }

  /** Returns an amount that the owner had taken. */
  release(owner: Owner, amount: number): void {
    const taken = this.takenBy(owner) - amount
    if (taken > 0) this.#taken.set(owner, taken)
    else this.#taken.delete(owner)
    this.#free += amount
  }
}
