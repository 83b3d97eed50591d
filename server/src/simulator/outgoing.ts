import { type DataSm, type DeliverSm, deliverSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { DelayLanes } from './delay-lanes.ts'
import { DeliveryQueue } from './delivery-queue.ts'
import type { OwedReceipt } from './receipts.ts'
import type { Reply } from './replies.ts'

/** A part of a text that a handset wrote. */
type Mo = { kind: 'mo'; pdu: DeliverSm }

export type OutgoingOptions = {
  receiptPdu(receipt: OwedReceipt): DeliverSm | DataSm
  receiptAnswered(receipt: OwedReceipt): void
  /** The time has come for a handset to write this. */
  replyDue(reply: Reply): void
  /** Something was put off: nextDueAt() may have changed. */
  putOff(): void
}

export type OutgoingCounts = { receiptsSent: number; receiptsAnswered: number; mosSent: number; mosAnswered: number }

const PUT_OFF_MS = 1_000

/** All that leaves for clients of the simulator's own accord: receipts and texts of handsets, at their time. */
export class Outgoing {
  counts: OutgoingCounts = blankCounts()
  readonly #options: OutgoingOptions
  readonly #later = new DelayLanes<OwedReceipt | Mo | Reply>()
  /** Of what is there for later, receipts that nobody asked for. */
  #unasked = 0
  /** Apart, so that one can be held, and a person's text does not wait behind all receipts. */
  readonly #mos: DeliveryQueue<Mo>
  readonly #receipts: DeliveryQueue<OwedReceipt>

  constructor(options: OutgoingOptions) {
    this.#options = options
    const putOff = (item: OwedReceipt | Mo) => {
      this.#wait(item, PUT_OFF_MS)
      options.putOff()
    }
    this.#mos = new DeliveryQueue<Mo>({
      toPdu: (mo) => mo.pdu,
      sent: () => this.counts.mosSent++,
      answered: () => this.counts.mosAnswered++,
      putOff,
    })
    this.#receipts = new DeliveryQueue<OwedReceipt>({
      toPdu: options.receiptPdu,
      sent: () => this.counts.receiptsSent++,
      answered: (receipt) => {
        this.counts.receiptsAnswered++
        options.receiptAnswered(receipt)
      },
      putOff,
    })
  }

  /** What waits for its time, a bind, a slot or an answer. */
  get length(): number {
    return this.#later.length - this.#unasked + this.#mos.length + this.#receipts.length
  }

  /** Receipts that are due and not answered. */
  get receiptsDue(): number {
    return this.#receipts.length
  }

  addReceiver(session: Session): void {
    this.#mos.addReceiver(session)
    this.#receipts.addReceiver(session)
  }

  hold(all: boolean, receipts: boolean): void {
    this.#mos.hold(all)
    this.#receipts.hold(all || receipts)
  }

  /** One that nobody asked for can be withdrawn until it is due, and is forgotten then. */
  addReceipt(receipt: OwedReceipt, delayMs: number): void {
    if (delayMs > 0) {
      if (receipt.unasked) this.#unasked++
      this.#wait(receipt, delayMs)
    } else if (!receipt.unasked) this.#receipts.add(receipt)
  }

  addMo(pdu: Parameters<typeof deliverSm>[0]): void {
    this.#mos.add({ kind: 'mo', pdu: deliverSm(pdu) })
  }

  addReply(reply: Reply): void {
    this.#wait(reply, reply.delayMs)
  }

  /** The receipts of this message that are not due yet. */
  pending(smscId: string): OwedReceipt[] {
    return [...this.#later].filter((item) => isReceiptOf(item, smscId)) as OwedReceipt[]
  }

  /** Takes out the receipts of this message that are not due yet. */
  withdraw(smscId: string): OwedReceipt[] {
    const withdrawn = this.#later.withdraw((item) => isReceiptOf(item, smscId)) as OwedReceipt[]
    this.#unasked -= withdrawn.filter((receipt) => receipt.unasked).length
    return withdrawn
  }

  nextDueAt(): number {
    return this.#later.nextDueAt()
  }

  sendDue(now: number): void {
    this.#later.takeDue(now, (item) => {
      if (item.kind === 'reply') this.#options.replyDue(item)
      else if (item.kind === 'mo') this.#mos.add(item)
      else if (item.unasked) this.#unasked--
      else this.#receipts.add(item)
    })
  }

  clear(): void {
    this.#later.clear()
    this.#unasked = 0
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
  return { receiptsSent: 0, receiptsAnswered: 0, mosSent: 0, mosAnswered: 0 }
}
