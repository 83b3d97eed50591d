import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { Fifo } from './fifo.ts'

/** Answers that ask to try again; any other answer settles a delivery, whatever it says. */
const tryAgain = new Set<number>([
  status.ESME_RX_T_APPN,
  status.ESME_RTHROTTLED,
  status.ESME_RMSGQFUL,
  status.ESME_RSYSERR,
])

export type DeliveryQueueEvents<T> = {
  toPdu: (item: T) => DeliverSm | DataSm
  sent: (item: T) => void
  answered: (item: T) => void
  /** The client asked for a moment: to be added again later. */
  putOff: (item: T) => void
}

/**
 * Sends receipts and texts of handsets to whoever is bound to receive, within each bind's window, and keeps every one
 * until it is answered: a dropped bind or a missing answer brings it back to the queue.
 */
export class DeliveryQueue<T> {
  readonly #events: DeliveryQueueEvents<T>
  readonly #receivers: Session[] = []
  #queue = new Fifo<T>()
  #unanswered = 0
  #turn = 0
  #scheduled = false
  #holding = false

  constructor(events: DeliveryQueueEvents<T>) {
    this.#events = events
  }

  /** Those that wait for a bind or a slot, and those sent but not answered. */
  get length(): number {
    return this.#queue.length + this.#unanswered
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

  /** Whether to keep everything here for now. */
  hold(holding: boolean): void {
    this.#holding = holding
    if (!holding) this.#schedule()
  }

  /** Forgets what waits. What is sent and unanswered is not sent again. */
  clear(): void {
    this.#queue = new Fifo()
    this.#unanswered = 0
  }

  #schedule = (): void => {
    if (this.#scheduled || this.#queue.length === 0) return
    this.#scheduled = true
    setImmediate(this.#send)
  }

  #send = (): void => {
    this.#scheduled = false
    if (this.#holding) return
    while (this.#queue.length > 0) {
      const session = this.#nextFree()
      if (!session) return
      const item = this.#queue.shift() as T
      const queue = this.#queue
      this.#unanswered++
      session.request(this.#events.toPdu(item), (outcome) => {
        if (queue !== this.#queue) return
        this.#unanswered--
        if (outcome.kind !== 'response') this.add(item)
        else if (tryAgain.has(outcome.pdu.command_status)) this.#events.putOff(item)
        else this.#events.answered(item)
      })
      this.#events.sent(item)
    }
  }

  /** The next bind in turn with a free slot; one whose peer does not read is left alone. */
  #nextFree(): Session | undefined {
    for (let tried = 0; tried < this.#receivers.length; tried++) {
      this.#turn = (this.#turn + 1) % this.#receivers.length
      const session = this.#receivers[this.#turn]
      if (session && session.free > 0) return session
    }
    return undefined
  }
}
