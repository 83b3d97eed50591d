/**
 * Whether the peer is alive. A peer is suspect once a request timed out and not one octet has arrived since that request
 * was written; it stays suspect until the next octet.
 */
export class LinkMonitor {
  #lastHeardAt: number
  #isSuspect = false
  /** An enquire_link is outstanding. */
  isEnquiring = false

  constructor(now: number) {
    this.#lastHeardAt = now
  }

  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** Records that octets arrived; returns whether the peer was suspect until now. */
  heard(now: number): boolean {
    const wasSuspect = this.#isSuspect
    this.#lastHeardAt = now
    this.#isSuspect = false
    return wasSuspect
  }

  /** Starts the silence anew: while the session did not read, it could not hear the peer. */
  restartSilence(now: number): void {
    this.#lastHeardAt = now
  }

  isSilentSince(time: number): boolean {
    return this.#lastHeardAt <= time
  }

  /** Marks the peer as suspect if it has been silent since the request that just timed out was written. */
  requestTimedOut(writtenAt: number): void {
    if (this.isSilentSince(writtenAt)) this.#isSuspect = true
  }

  /** The time at which the silence is `enquireLinkMs` long. */
  enquireAt(enquireLinkMs: number): number {
    return this.#lastHeardAt + enquireLinkMs
  }
}
