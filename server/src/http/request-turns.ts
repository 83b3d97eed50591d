/**
 * Number of starts per turn of the event loop: some 10 ms of work. With 8, a turn that reads many sockets took longer than its starts, so that
 * 700 sockets with large bodies kept a caller's first request waiting for seconds (2026-11-29).
 */
export const perTurn = 100

/** The work of one socket that has not been started, in its order. */
export type WaitingWork = (() => void)[]

/**
 * Starts a few requests per turn of the event loop, and those of different addresses alternately, so that thousands of
 * requests that arrive together do not delay other work by their sum. Of one address, the socket that came last is
 * first: if there is more work than time, a caller among them does not wait for all of it.
 */
export class RequestTurns {
  readonly #byAddress = new Map<string, WaitingWork[]>()
  #started = 0
  #isScheduled = false

  /** Starts `work` at once if few others were started in this turn, otherwise when it is the turn of its address. */
  add(address: string, ofSocket: WaitingWork, work: () => void): void {
    this.#schedule()
    if (ofSocket.length === 0 && this.#byAddress.size === 0 && this.#started < perTurn) {
      this.#started++
      work()
      return
    }
    if (ofSocket.push(work) > 1) return
    const sockets = this.#byAddress.get(address)
    if (sockets) sockets.push(ofSocket)
    else this.#byAddress.set(address, [ofSocket])
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#run())
  }

  #run(): void {
    this.#isScheduled = false
    this.#started = 0
    while (this.#started < perTurn) {
      const [next] = this.#byAddress
      if (!next) return
      const [address, sockets] = next
      this.#byAddress.delete(address)
      const ofSocket = sockets.pop() ?? []
      const work = ofSocket.shift()
      if (ofSocket.length > 0) sockets.push(ofSocket)
      // behind the other addresses
      if (sockets.length > 0) this.#byAddress.set(address, sockets)
      this.#started++
      work?.()
    }
    this.#schedule()
  }
}
