import { type RequestPdu, type ResponsePdu, responseOf } from './pdu/pdu.ts'

/**
 * Result of a request. `closed` with `sent: false` means that no octet of the request was passed to the stream, so the peer
 * cannot have received it. With `sent: true`, and after a timeout, the peer may have received it.
 */
export type Outcome =
  | { kind: 'response'; pdu: ResponsePdu }
  | { kind: 'timeout' }
  | { kind: 'closed'; sent: boolean; reason: string }

export type OnOutcome = (outcome: Outcome) => void

export type Pending = {
  pdu: RequestPdu
  onOutcome: OnOutcome
  writtenAt: number
  deadline: number
  ordinal: number
  usesWindow: boolean
}

/** Maximum number of timed-out requests that a late response can still match. */
const MAX_EXPIRED = 4096
const LAST_SEQUENCE_NUMBER = 0x7fff_ffff

/**
 * The requests without a response. All have the same deadline in ms, so the order of the map is the order of the deadlines,
 * and one timer for the oldest entry is enough for any window. After a caller shortens the deadline, newer requests expire
 * no earlier than older ones.
 */
export class InFlight {
  readonly #pending = new Map<number, Pending>()
  readonly #expired = new Map<number, RequestPdu>()
  #lastSequenceNumber: number
  #ordinal = 0
  #windowSlots = 0

  constructor(lastSequenceNumber = 0) {
    this.#lastSequenceNumber = lastSequenceNumber
  }

  /** Number of requests that use a window slot. */
  get windowSlots() {
    return this.#windowSlots
  }

  get size() {
    return this.#pending.size
  }

  /** The ordinal of the newest request: all requests up to it were encoded before now. */
  get ordinal() {
    return this.#ordinal
  }

  get oldest(): Pending | undefined {
    return this.#pending.values().next().value
  }

  /** Returns the next unused number from 1 to 0x7fffffff (§3.2), restarting at 1 after the maximum. */
  nextSequenceNumber(): number {
    let next = this.#lastSequenceNumber
    do next = next === LAST_SEQUENCE_NUMBER ? 1 : next + 1
    while (this.#pending.has(next))
    this.#lastSequenceNumber = next
    return next
  }

  add(pdu: RequestPdu, onOutcome: OnOutcome, times: { writtenAt: number; deadline: number }, usesWindow: boolean) {
    this.#expired.delete(pdu.sequence_number)
    this.#pending.set(pdu.sequence_number, { pdu, onOutcome, ...times, ordinal: ++this.#ordinal, usesWindow })
    if (usesWindow) this.#windowSlots++
  }

  /** Removes and returns the request of this response; undefined if none matches its number and command. */
  take(response: ResponsePdu): Pending | undefined {
    const pending = this.#pending.get(response.sequence_number)
    if (!pending || !isResponseTo(response, pending.pdu)) return undefined
    this.#remove(pending)
    return pending
  }

  /** Removes and returns the timed-out request of this late response; undefined if none matches. */
  takeExpired(response: ResponsePdu): RequestPdu | undefined {
    const request = this.#expired.get(response.sequence_number)
    if (!request || !isResponseTo(response, request)) return undefined
    this.#expired.delete(response.sequence_number)
    return request
  }

  /** Removes and returns the oldest request if its deadline has passed; a late response can still find it. */
  takeOverdue(now: number): Pending | undefined {
    const oldest = this.oldest
    if (!oldest || oldest.deadline > now) return undefined
    this.#remove(oldest)
    this.#expired.set(oldest.pdu.sequence_number, oldest.pdu)
    if (this.#expired.size > MAX_EXPIRED) {
      for (const sequenceNumber of this.#expired.keys()) {
        this.#expired.delete(sequenceNumber)
        break
      }
    }
    return oldest
  }

  takeAll(): Pending[] {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    this.#windowSlots = 0
    return all
  }

  #remove(pending: Pending) {
    this.#pending.delete(pending.pdu.sequence_number)
    if (pending.usesWindow) this.#windowSlots--
  }
}

function isResponseTo(response: ResponsePdu, request: RequestPdu): boolean {
  return response.command === 'generic_nack' || response.command === responseOf[request.command]
}
