import { type DataSm, type DeliverSm, deliverSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { DelayLanes } from './delay-lanes.ts'
import { DeliveryQueue } from './delivery-queue.ts'
import type { OwedReceipt } from './receipts.ts'
import type { Reply } from './replies.ts'

/** A part of a text that a handset sends. */
type Mo = { kind: 'mo'; pdu: DeliverSm }

export type OutgoingOptions = {
  receiptPdu(receipt: OwedReceipt): DeliverSm | DataSm
  receiptAcknowledged(receipt: OwedReceipt): void
  /** A handset's reply is due. */
  replyDue(reply: Reply): void
  /** An item was deferred, so nextDueAt() may have changed. */
  onDefer(): void
}

export type OutgoingCounts = {
  receiptsSent: number
  receiptsAcknowledged: number
  mosSent: number
  mosAcknowledged: number
}

const DEFER_MS = 1_000

/** Sends receipts and texts of handsets when they are due. */
export class Outgoing {
  counts: OutgoingCounts = blankCounts()
  readonly #options: OutgoingOptions
  readonly #later = new DelayLanes<OwedReceipt | Mo | Reply>()
  /** Number of unrequested receipts in `#later`. */
  #unrequested = 0
  /** Separate queues, so that receipts can be paused separately and a person's text does not wait for all receipts. */
  readonly #mos: DeliveryQueue<Mo>
  readonly #receipts: DeliveryQueue<OwedReceipt>

  constructor(options: OutgoingOptions) {
    this.#options = options
    const onDefer = (item: OwedReceipt | Mo) => {
      this.#wait(item, DEFER_MS)
      options.onDefer()
    }
    this.#mos = new DeliveryQueue<Mo>({
      toPdu: (mo) => mo.pdu,
      sent: () => this.counts.mosSent++,
      acknowledged: () => this.counts.mosAcknowledged++,
      onDefer,
    })
    this.#receipts = new DeliveryQueue<OwedReceipt>({
      toPdu: options.receiptPdu,
      sent: () => this.counts.receiptsSent++,
      acknowledged: (receipt) => {
        this.counts.receiptsAcknowledged++
        options.receiptAcknowledged(receipt)
      },
      onDefer,
    })
  }

  /** Number of items that wait until they are due, or for a bind, a window slot or a response. */
  get length(): number {
    return this.#later.length - this.#unrequested + this.#mos.length + this.#receipts.length
  }

  /** Number of receipts that are due and not acknowledged. */
  get receiptsDue(): number {
    return this.#receipts.length
  }

  addReceiver(session: Session): void {
    this.#mos.addReceiver(session)
    this.#receipts.addReceiver(session)
  }

  pause(all: boolean, receipts: boolean): void {
    this.#mos.setPaused(all)
    this.#receipts.setPaused(all || receipts)
  }

  /** Schedules a receipt. An unrequested receipt can be withdrawn until it is due, and is then dropped. */
  addReceipt(receipt: OwedReceipt, delayMs: number): void {
    if (delayMs > 0) {
      if (receipt.isUnrequested) this.#unrequested++
      this.#wait(receipt, delayMs)
    } else if (!receipt.isUnrequested) this.#receipts.add(receipt)
  }

  addMo(pdu: Parameters<typeof deliverSm>[0]): void {
    this.#mos.add({ kind: 'mo', pdu: deliverSm(pdu) })
  }

  addReply(reply: Reply): void {
    this.#wait(reply, reply.delayMs)
  }

  /** Returns the receipts of this message that are not due yet. */
  pending(smscId: string): OwedReceipt[] {
    return [...this.#later].filter((item) => isReceiptOf(item, smscId)) as OwedReceipt[]
  }

  /** Removes and returns the receipts of this message that are not due yet. */
  withdraw(smscId: string): OwedReceipt[] {
    const withdrawn = this.#later.withdraw((item) => isReceiptOf(item, smscId)) as OwedReceipt[]
    this.#unrequested -= withdrawn.filter((receipt) => receipt.isUnrequested).length
    return withdrawn
  }

  nextDueAt(): number {
    return this.#later.nextDueAt()
  }

  sendDue(now: number): void {
    this.#later.takeDue(now, (item) => {
      if (item.kind === 'reply') this.#options.replyDue(item)
      else if (item.kind === 'mo') this.#mos.add(item)
      else if (item.isUnrequested) this.#unrequested--
      else this.#receipts.add(item)
    })
  }

  clear(): void {
    this.#later.clear()
    this.#unrequested = 0
    this.#mos.clear()
    this.#receipts.clear()
    this.counts = blankCounts()
  }

  #wait(item: OwedReceipt | Mo | Reply, delayMs: number): void {
    this.#later.push(item, delayMs, performance.now())
  }
}

function isReceiptOf(item: OwedReceipt | Mo | Reply, smscId: string): boolean {
  return item.kind === 'receipt' && item.smscId === smscId
}

function blankCounts(): OutgoingCounts {
  return { receiptsSent: 0, receiptsAcknowledged: 0, mosSent: 0, mosAcknowledged: 0 }
}
