/**
 * Monitors whether the peer is alive. A peer is suspect after a request timed out if no octet has arrived since that
 * request was written; it stays suspect until the next octet.
 */
export class LinkMonitor {
  #lastReceivedAt: number
  #isSuspect = false
  /** Whether an enquire_link is in flight. */
  isEnquiring = false

  constructor(now: number) {
    this.#lastReceivedAt = now
  }

  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** Records that octets arrived; returns whether the peer was suspect until now. */
  octetsReceived(now: number): boolean {
    const wasSuspect = this.#isSuspect
    this.#lastReceivedAt = now
    this.#isSuspect = false
    return wasSuspect
  }

  /** Restarts the silence: while the session did not read, octets of the peer could not be received. */
  restartSilence(now: number): void {
    this.#lastReceivedAt = now
  }

  isSilentSince(time: number): boolean {
    return this.#lastReceivedAt <= time
  }

  /** Marks the peer as suspect if it has been silent since `writtenAt`, when the timed-out request was written. */
  requestTimedOut(writtenAt: number): void {
    if (this.isSilentSince(writtenAt)) this.#isSuspect = true
  }

  /** Returns the time at which the silence reaches `enquireLinkMs`. */
  enquireAt(enquireLinkMs: number): number {
    return this.#lastReceivedAt + enquireLinkMs
  }
}
