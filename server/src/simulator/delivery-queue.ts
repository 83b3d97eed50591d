import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { Fifo } from './fifo.ts'

/** Response statuses that request a retry; any other status acknowledges the delivery. */
const retryStatuses = new Set<number>([
  status.ESME_RX_T_APPN,
  status.ESME_RTHROTTLED,
  status.ESME_RMSGQFUL,
  status.ESME_RSYSERR,
])

export type DeliveryQueueEvents<T> = {
  toPdu: (item: T) => DeliverSm | DataSm
  sent: (item: T) => void
  acknowledged: (item: T) => void
  /** The client requested a retry; the listener adds the item again later. */
  onDefer: (item: T) => void
}

/**
 * Sends receipts and texts of handsets over the receiving binds, within each bind's window, and stores each item until it is
 * acknowledged: after a dropped bind or a missing response, the item is queued again.
 */
export class DeliveryQueue<T> {
  readonly #events: DeliveryQueueEvents<T>
  readonly #receivers: Session[] = []
  #queue = new Fifo<T>()
  #unacknowledged = 0
  #nextReceiver = 0
  #scheduled = false
  #isPaused = false

  constructor(events: DeliveryQueueEvents<T>) {
    this.#events = events
  }

  /** Number of items that wait for a bind or a window slot, or for their acknowledgement. */
  get length(): number {
    return this.#queue.length + this.#unacknowledged
  }

  add(item: T): void {
    this.#queue.push(item)
    this.#schedule()
  }

  addReceiver(session: Session): void {
    this.#receivers.push(session)
    session.on('drain', this.#schedule)
    session.once('close', () => {
      const at = this.#receivers.indexOf(session)
      if (at >= 0) this.#receivers.splice(at, 1)
    })
    this.#schedule()
  }

  /** Stops or resumes sending. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused
    if (!isPaused) this.#schedule()
  }

  /** Drops all items. Unacknowledged items are not sent again. */
  clear(): void {
    this.#queue = new Fifo()
    this.#unacknowledged = 0
  }

  #schedule = (): void => {
    if (this.#scheduled || this.#queue.length === 0) return
    this.#scheduled = true
    setImmediate(this.#send)
  }

  #send = (): void => {
    this.#scheduled = false
    if (this.#isPaused) return
    while (this.#queue.length > 0) {
      const session = this.#nextFree()
      if (!session) return
      const item = this.#queue.shift() as T
      const queue = this.#queue
      this.#unacknowledged++
      session.request(this.#events.toPdu(item), (outcome) => {
        if (queue !== this.#queue) return
        this.#unacknowledged--
        if (outcome.kind !== 'response') this.add(item)
        else if (retryStatuses.has(outcome.pdu.command_status)) this.#events.onDefer(item)
        else this.#events.acknowledged(item)
      })
      this.#events.sent(item)
    }
  }

  /** Returns the next bind with a free window slot, round robin. */
  #nextFree(): Session | undefined {
    for (let n = 0; n < this.#receivers.length; n++) {
      this.#nextReceiver = (this.#nextReceiver + 1) % this.#receivers.length
      const session = this.#receivers[this.#nextReceiver]
      if (session && session.free > 0) return session
    }
    return undefined
  }
}
