import { type RequestPdu, type ResponsePdu, responseOf } from './pdu/pdu.ts'

/**
 * How a request ended. `closed` with `sent: false` means that not one octet of it was handed to the stream: the peer
 * cannot have seen it. With `sent: true`, and after a timeout, nobody knows.
 */
export type Outcome =
  | { kind: 'response'; pdu: ResponsePdu }
  | { kind: 'timeout' }
  | { kind: 'closed'; sent: boolean; reason: string }

export type OnOutcome = (outcome: Outcome) => void

export type Pending = {
  pdu: RequestPdu
  done: OnOutcome
  writtenAt: number
  deadline: number
  ordinal: number
  counts: boolean
}

const EXPIRED_KEPT = 4096
const LAST_SEQUENCE_NUMBER = 0x7fff_ffff

/**
 * The requests that wait for a response. All have the same time to live, so the order of the map is the order of the
 * deadlines, and one timer on its oldest entry is enough for any window. Where that time has been made shorter, the newer
 * requests wait for the older ones to end.
 */
export class InFlight {
  readonly #pending = new Map<number, Pending>()
  readonly #expired = new Map<number, RequestPdu>()
  #lastSequenceNumber: number
  #ordinal = 0
  #counted = 0

  constructor(lastSequenceNumber = 0) {
    this.#lastSequenceNumber = lastSequenceNumber
  }

  /** How many take a slot of the window. */
  get counted() {
    return this.#counted
  }

  get size() {
    return this.#pending.size
  }

  /** The order number of the newest request: all up to it were encoded before now. */
  get ordinal() {
    return this.#ordinal
  }

  get oldest(): Pending | undefined {
    return this.#pending.values().next().value
  }

  /** The next free one of 1 to 0x7fffffff (§3.2), going round. */
  nextSequenceNumber(): number {
    let next = this.#lastSequenceNumber
    do next = next === LAST_SEQUENCE_NUMBER ? 1 : next + 1
    while (this.#pending.has(next))
    this.#lastSequenceNumber = next
    return next
  }

  add(pdu: RequestPdu, done: OnOutcome, times: { writtenAt: number; deadline: number }, counts: boolean) {
    this.#expired.delete(pdu.sequence_number)
    this.#pending.set(pdu.sequence_number, { pdu, done, ...times, ordinal: ++this.#ordinal, counts })
    if (counts) this.#counted++
  }

  /** The request that this answers, which then waits no more. A response of another kind answers nothing. */
  take(response: ResponsePdu): Pending | undefined {
    const pending = this.#pending.get(response.sequence_number)
    if (!pending || !answers(response, pending.pdu)) return undefined
    this.#forget(pending)
    return pending
  }

  /** The request that this answers too late, once. */
  takeExpired(response: ResponsePdu): RequestPdu | undefined {
    const request = this.#expired.get(response.sequence_number)
    if (!request || !answers(response, request)) return undefined
    this.#expired.delete(response.sequence_number)
    return request
  }

  /** Gives up the oldest request if its deadline has come; a late response will still find it for a while. */
  takeOverdue(now: number): Pending | undefined {
    const oldest = this.oldest
    if (!oldest || oldest.deadline > now) return undefined
    this.#forget(oldest)
    this.#expired.set(oldest.pdu.sequence_number, oldest.pdu)
    if (this.#expired.size > EXPIRED_KEPT) {
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
    this.#counted = 0
    return all
  }

  #forget(pending: Pending) {
    this.#pending.delete(pending.pdu.sequence_number)
    if (pending.counts) this.#counted--
  }
}

function answers(response: ResponsePdu, request: RequestPdu): boolean {
  return response.command === 'generic_nack' || response.command === responseOf[request.command]
}
