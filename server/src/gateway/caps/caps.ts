import { Cap } from './cap.ts'

export const connectionCap = (connectionId: number) => `connection:${connectionId}`
export const shortCodeCap = (shortCodeId: number) => `short_code:${shortCodeId}`
export const carrierCap = (connectionId: number, carrier: string) => `carrier:${connectionId}:${carrier}`

/** The caps that exist, by their keys. */
export class Caps {
  readonly #caps = new Map<string, Cap>()
  #sets = new Map<string, CapSet>()
  /** Called when there are too few tokens of a cap again after a pause. */
  onShortage: () => void = () => {}

  /**
   * Sets which caps exist. A new one allows no write before it is granted a share; of one that exists no more the reserved
   * tokens may be used.
   */
  follow(keys: Iterable<string>): void {
    const wanted = new Set(keys)
    const gone = [...this.#caps.keys()].filter((key) => !wanted.has(key))
    const added = [...wanted].filter((key) => !this.#caps.has(key))
    if (gone.length + added.length === 0) return
    for (const key of gone) {
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
   * The caps among these keys, as one set to reserve tokens from. Callers get it anew for each batch, and release tokens to the
   * set that they reserved them from.
   */
  of(...keys: string[]): CapSet {
    if (this.#caps.size === 0) return noCaps
    const name = keys.join(' ')
    const known = this.#sets.get(name)
    if (known) return known
    const caps = keys.map((key) => this.#caps.get(key)).filter((cap) => cap !== undefined)
    const set = caps.length === 0 ? noCaps : new CapSet(caps)
    this.#sets.set(name, set)
    return set
  }
}

/** The caps that one submit_sm is under: it takes a token of each. */
export class CapSet {
  readonly #caps: readonly Cap[]

  constructor(caps: readonly Cap[]) {
    this.#caps = caps
  }

  get isUnlimited(): boolean {
    return this.#caps.length === 0
  }

  /** Whether this gateway has no share of one of them, so that no write is possible at any time. */
  get isClosed(): boolean {
    for (const cap of this.#caps) if (cap.capacity === 0) return true
    return false
  }

  /** Tokens that can ever be reserved at once. */
  get capacity(): number {
    let least = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) least = Math.min(least, cap.capacity)
    return least
  }

  /** Tokens that justify a mark. */
  get batch(): number {
    let least = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) least = Math.min(least, cap.batch)
    return least
  }

  /** This many tokens are wanted now: where there are too few, a larger share would help. */
  reportShortage(now: number, tokens: number): void {
    for (const cap of this.#caps) if (cap.free(now) < tokens) cap.reportShortage(now)
  }

  /** Tokens that can be reserved now. */
  free(now: number): number {
    let least = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) least = Math.min(least, cap.free(now))
    return least
  }

  /** When this many can be reserved, as far as is known. */
  freeAt(now: number, tokens: number): number {
    let last = now
    for (const cap of this.#caps) last = Math.max(last, cap.freeAt(now, tokens))
    return last
  }

  reserve(tokens: number): void {
    for (const cap of this.#caps) cap.reserve(tokens)
  }

  /** Gives back tokens that were not used. */
  release(tokens: number): void {
    for (const cap of this.#caps) cap.release(tokens)
  }

  /** Whether a reserved token may be used now. */
  isReady(now: number): boolean {
    for (const cap of this.#caps) if (cap.ready(now) < 1) return false
    return true
  }

  /** When the next reserved token may be used; infinity when that depends on another share. */
  readyAt(now: number): number {
    let last = now
    for (const cap of this.#caps) last = Math.max(last, cap.readyAt(now))
    return last
  }

  /** Writes between these two times reached the carrier at the second one. */
  noteBunch(from: number, until: number): void {
    for (const cap of this.#caps) cap.noteBunch(from, until)
  }

  /** The mark of texts with reserved tokens took this long. */
  noteMarking(ms: number): void {
    for (const cap of this.#caps) cap.noteMarking(ms)
  }

  /** One reserved token is used now. */
  use(now: number): void {
    for (const cap of this.#caps) cap.use(now)
  }
}

/** The set of texts that are under no cap. */
export const noCaps = new CapSet([])
