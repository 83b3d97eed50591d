import { Cap } from './cap.ts'

export const connectionCap = (connectionId: number) => `connection:${connectionId}`
export const shortCodeCap = (shortCodeId: number) => `short_code:${shortCodeId}`
export const carrierCap = (connectionId: number, carrier: string) => `carrier:${connectionId}:${carrier}`

/** What may be written of each cap that there is, by the caps' keys. */
export class Caps {
  readonly #caps = new Map<string, Cap>()
  #sets = new Map<string, CapSet>()
  /** Called when there are too few tokens of a cap again after a pause. */
  onWanted: () => void = () => {}

  /**
   * From now on these are the caps. A new one lets nothing through before it is granted a share; of one that is no more
   * the tokens in hand may be used.
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
    for (const key of added) this.#caps.set(key, new Cap(() => this.onWanted()))
    this.#sets = new Map()
  }

  get(key: string): Cap | undefined {
    return this.#caps.get(key)
  }

  /**
   * The caps among these keys, as one to take tokens from. To be asked for again for each batch: those that hold tokens
   * keep the set that they have them from.
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

  /** Whether this gateway has no share of one of them, so that nothing can be written whatever the time. */
  get isClosed(): boolean {
    for (const cap of this.#caps) if (cap.capacity === 0) return true
    return false
  }

  /** Tokens that can ever be reserved at one time. */
  get capacity(): number {
    let least = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) least = Math.min(least, cap.capacity)
    return least
  }

  /** Tokens that are worth a mark of their own. */
  get batch(): number {
    let least = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) least = Math.min(least, cap.batch)
    return least
  }

  /** So many tokens are wanted now: where there are too few, a larger share would help. */
  want(now: number, tokens: number): void {
    for (const cap of this.#caps) if (cap.free(now) < tokens) cap.want(now)
  }

  /** Tokens that can be reserved now. */
  free(now: number): number {
    let least = Number.POSITIVE_INFINITY
    for (const cap of this.#caps) least = Math.min(least, cap.free(now))
    return least
  }

  /** When so many can be reserved, as far as can be told. */
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

  /** Whether a reserved token may be used at this very moment. */
  isReady(now: number): boolean {
    for (const cap of this.#caps) if (cap.ready(now) < 1) return false
    return true
  }

  /** When the next reserved token may be used; infinity when only another share can tell. */
  readyAt(now: number): number {
    let last = now
    for (const cap of this.#caps) last = Math.max(last, cap.readyAt(now))
    return last
  }

  /** What was written between these times has reached the carrier at the second one, as late as that. */
  noteBunch(from: number, until: number): void {
    for (const cap of this.#caps) cap.noteBunch(from, until)
  }

  /** Rows whose tokens were reserved took so long to be marked. */
  noteMarking(ms: number): void {
    for (const cap of this.#caps) cap.noteMarking(ms)
  }

  /** One reserved token is used now. */
  use(now: number): void {
    for (const cap of this.#caps) cap.use(now)
  }
}

/** Of what is under no cap. */
export const noCaps = new CapSet([])
