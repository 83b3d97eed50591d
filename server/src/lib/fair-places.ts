export type FairPlacesOptions = {
  /** Maximum number of places taken at a time. */
  total: number
  /** Maximum number of places that one party has at a time. */
  perParty: number
  /** Maximum number of requests of one party that wait. */
  maxWaiting: number
  /** Maximum time that a request waits. */
  maxWaitMs: number
  /**
   * Whether a party with places gets another one only while at least as many would be free as it has then, so that some are
   * free for a party that has none (the rule of `SharedBudget`). For work whose duration its party decides.
   */
  leavesRoom?: boolean
}

type Waiting = { end(taken: boolean): void }
type Party = { taken: number; waiting: Set<Waiting> }

/**
 * A limited number of places for several parties. A free place is taken at once; parties that wait take turns, so a
 * party with many requests delays another party by one place, not by all of its requests.
 */
export class FairPlaces {
  readonly #options: FairPlacesOptions
  readonly #parties = new Map<number, Party>()
  /** The parties with waiting requests, in the order of their turns. */
  readonly #queue = new Set<Party>()
  #taken = 0

  constructor(options: FairPlacesOptions) {
    this.#options = options
  }

  /** Takes a place if one is free; returns whether it did. Each taken place must be released. */
  tryTake(partyId: number): boolean {
    const party = this.#partyOf(partyId)
    if (!this.#isFree(party)) return false
    party.taken++
    this.#taken++
    return true
  }

  /**
   * Waits for a place and returns true when it is taken; returns false after the maximum time, if too many requests of the
   * party wait, or if `signal` aborts.
   */
  take(partyId: number, signal: AbortSignal): Promise<boolean> {
    if (this.tryTake(partyId)) return Promise.resolve(true)
    const party = this.#partyOf(partyId)
    if (party.waiting.size >= this.#options.maxWaiting || signal.aborted) return Promise.resolve(false)
    return new Promise((resolve) => {
      const giveUp = () => waiting.end(false)
      const timer = setTimeout(giveUp, this.#options.maxWaitMs)
      const waiting: Waiting = {
        end: (taken) => {
          clearTimeout(timer)
          signal.removeEventListener('abort', giveUp)
          party.waiting.delete(waiting)
          if (party.waiting.size === 0) this.#queue.delete(party)
          resolve(taken)
        },
      }
      signal.addEventListener('abort', giveUp, { once: true })
      party.waiting.add(waiting)
      this.#queue.add(party)
    })
  }

  /** Releases a place of a party; the next waiting party takes it. */
  release(partyId: number): void {
    this.#partyOf(partyId).taken--
    this.#taken--
    for (const party of this.#queue) {
      if (this.#taken >= this.#options.total) return
      if (!this.#isFree(party)) continue
      const [next] = party.waiting
      // behind the others that wait
      this.#queue.delete(party)
      if (party.waiting.size > 1) this.#queue.add(party)
      party.taken++
      this.#taken++
      next?.end(true)
    }
  }

  #isFree(party: Party): boolean {
    const { total, perParty, leavesRoom } = this.#options
    const free = total - this.#taken
    if (free <= 0 || party.taken >= perParty) return false
    return !leavesRoom || party.taken === 0 || party.taken + 1 < free
  }

  #partyOf(id: number): Party {
    let party = this.#parties.get(id)
    if (!party) {
      party = { taken: 0, waiting: new Set() }
      this.#parties.set(id, party)
    }
    return party
  }
}
