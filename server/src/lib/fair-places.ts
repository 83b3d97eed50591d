import { AsyncLocalStorage } from 'node:async_hooks'

export type FairPlacesOptions = {
  /** Maximum number of places taken at a time. */
  total: number
  /** Maximum number of places that one party has at a time; a function returns that of a party at this moment. */
  perParty: number | ((partyId: number) => number)
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

/** A request that waits: called with whether it got a place. */
type Waiting = (taken: boolean) => void
type Party = { id: number; taken: number; waiting: Set<Waiting> }

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
    this.#give(party)
    return true
  }

  /**
   * Waits for a place and returns true when it is taken; returns false after the maximum time, if too many requests of the
   * party wait, or if `signal` aborts.
   */
  take(partyId: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false)
    return new Promise((resolve) => {
      const giveUp = this.wait(partyId, (taken) => {
        signal.removeEventListener('abort', giveUp)
        resolve(taken)
      })
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  /**
   * Calls `callback` once, after this call has returned: with true when a place is taken; with false after the maximum time, if
   * too many requests of the party wait, or when the returned function is called. The callback has the asynchronous context of
   * this call, not of the request that releases the place. This costs less than `take`.
   */
  wait(partyId: number, callback: (taken: boolean) => void): () => void {
    const party = this.#partyOf(partyId)
    const end = AsyncLocalStorage.bind(callback)
    if (party.waiting.size >= this.#options.maxWaiting || this.#isFree(party)) {
      const taken = this.tryTake(partyId)
      queueMicrotask(() => end(taken))
      return () => {}
    }
    const timer = setTimeout(() => waiting(false), this.#options.maxWaitMs)
    const waiting = (taken: boolean) => {
      if (!party.waiting.delete(waiting)) return
      clearTimeout(timer)
      if (party.waiting.size === 0) this.#queue.delete(party)
      this.#forgetIdle(party)
      end(taken)
    }
    this.#parties.set(partyId, party)
    party.waiting.add(waiting)
    this.#queue.add(party)
    return () => waiting(false)
  }

  /** Ends all waits without a place. */
  endWaits(): void {
    for (const { waiting } of [...this.#queue]) for (const end of [...waiting]) end(false)
  }

  /** Releases a place of a party; the next waiting party takes it. */
  release(partyId: number): void {
    const party = this.#partyOf(partyId)
    party.taken--
    this.#taken--
    this.#forgetIdle(party)
    for (const next of this.#queue) {
      if (this.#taken >= this.#options.total) return
      if (!this.#isFree(next)) continue
      const [waiting] = next.waiting
      // behind the others that wait
      this.#queue.delete(next)
      if (next.waiting.size > 1) this.#queue.add(next)
      this.#give(next)
      waiting?.(true)
    }
  }

  /** Returns the number of places that a party has. */
  takenBy(partyId: number): number {
    return this.#partyOf(partyId).taken
  }

  #give(party: Party): void {
    party.taken++
    this.#taken++
    this.#parties.set(party.id, party)
  }

  #forgetIdle(party: Party): void {
    if (party.taken === 0 && party.waiting.size === 0) this.#parties.delete(party.id)
  }

  #isFree(party: Party): boolean {
    const { total, perParty, leavesRoom } = this.#options
    const free = total - this.#taken
    if (free <= 0 || party.taken >= (typeof perParty === 'number' ? perParty : perParty(party.id))) return false
    return !leavesRoom || party.taken === 0 || party.taken + 1 < free
  }

  #partyOf(id: number): Party {
    return this.#parties.get(id) ?? { id, taken: 0, waiting: new Set() }
  }
}
