import { Cap } from './cap.ts'

export const connectionCap = (connectionId: number) => `connection:${connectionId}`
export const shortCodeCap = (shortCodeId: number) => `short_code:${shortCodeId}`
export const carrierCap = (connectionId: number, carrier: string) => `carrier:${connectionId}:${carrier}`

/** All caps, by their keys. */
export class Caps {
  readonly #caps = new Map<string, Cap>()
  #sets = new Map<string, CapSet>()
  /** Called at the first shortage of a cap's tokens after `capIdleMs` without one. */
  onShortage: () => void = () => {}

  /**
   * Sets which caps exist. A new cap allows no write before a share is granted; reserved tokens of a deleted cap may be used
   * immediately.
   */
  setKeys(keys: Iterable<string>): void {
    const existing = new Set(keys)
    const deleted = [...this.#caps.keys()].filter((key) => !existing.has(key))
    const added = [...existing].filter((key) => !this.#caps.has(key))
    if (deleted.length + added.length === 0) return
    for (const key of deleted) {
      this.#caps.get(key)?.lift()
      this.#caps.delete(key)
    }
    for (const key of added) this.#caps.set(key, new Cap(() => this.onShortage()))
    this.#sets = new Map()
  }

  get(key: string): Cap | undefined {
    return this.#caps.get(key)
  }

  /**
   * Returns the existing caps among these keys as one set to reserve tokens from. Callers must call this again for each batch,
   * because caps change, and must release tokens to the set from which they reserved them.
   */
  of(...keys: string[]): CapSet {
    if (this.#caps.size === 0) return noCaps
    const setKey = keys.join(' ')
    const known = this.#sets.get(setKey)
    if (known) return known
    const caps = keys.map((key) => this.#caps.get(key)).filter((cap) => cap !== undefined)
    const set = caps.length === 0 ? noCaps : new CapSet(caps)
    this.#sets.set(setKey, set)
    return set
  }
}

/** The caps that apply to one submit_sm, which uses a token of each. */
export class CapSet {
  readonly #caps: readonly Cap[]

  constructor(caps: readonly Cap[]) {
    this.#caps = caps
  }

  get isUnlimited(): boolean {
    return this.#caps.length === 0
  }

  /** Whether this gateway has no share of one of the caps, so that nothing can be written. */
  get isClosed(): boolean {
    for (const cap of this.#caps) if (cap.capacity === 0) return true
    return false
  }

  /** Maximum number of tokens that can be reserved at one time. */
  get capacity(): number {
    let min = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) min = Math.min(min, cap.capacity)
    return min
  }

  /** Minimum number of free tokens that are worth a mark. */
  get minBatch(): number {
    let min = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) min = Math.min(min, cap.minBatch)
    return min
  }

  /** Notes a shortage of each cap that has fewer than this many free tokens. */
  reportShortage(now: number, tokens: number): void {
    for (const cap of this.#caps) if (cap.free(now) < tokens) cap.reportShortage(now)
  }

  /** Tokens that can be reserved now. */
  free(now: number): number {
    let min = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) min = Math.min(min, cap.free(now))
    return min
  }

  /** The earliest time at which this many tokens can be reserved, as far as it is known. */
  freeAt(now: number, tokens: number): number {
    let last = now
    for (const cap of this.#caps) last = Math.max(last, cap.freeAt(now, tokens))
    return last
  }

  reserve(tokens: number): void {
    for (const cap of this.#caps) cap.reserve(tokens)
  }

  /** Releases reserved tokens that were not used. */
  release(tokens: number): void {
    for (const cap of this.#caps) cap.release(tokens)
  }

  /** Whether a reserved token may be used now. */
  isReady(now: number): boolean {
    for (const cap of this.#caps) if (cap.ready(now) < 1) return false
    return true
  }

  /** When the next reserved token may be used; infinity if a larger share or a new lease is needed first. */
  readyAt(now: number): number {
    let last = now
    for (const cap of this.#caps) last = Math.max(last, cap.readyAt(now))
    return last
  }

  /** Notes that writes between `from` and `until` reached the carrier at `until`. */
  noteBunch(from: number, until: number): void {
    for (const cap of this.#caps) cap.noteBunch(from, until)
  }

  /** Notes the duration of a mark whose texts had tokens reserved. */
  noteMarking(ms: number): void {
    for (const cap of this.#caps) cap.noteMarking(ms)
  }

  /** Uses one reserved token of each cap for a write at this time. */
  use(now: number): void {
    for (const cap of this.#caps) cap.use(now)
  }
}

/** For texts to which no cap applies. */
export const noCaps = new CapSet([])
