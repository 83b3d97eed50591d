// The message centre: takes submit_sm, writes them down, answers after the set latency and sends the receipts. All work
// is done in batches, what one turn of the event loop brought at a time; nothing here has a timer or a promise of its
// own per message, so that the simulator is never what a measurement of the product measures.

import type { Logger } from 'pino'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { npi, ton } from '../smpp/pdu/flags.ts'
import { type DeliverSm, deliverSm, type SubmitSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { encodeParts } from '../sms/parts.ts'
import { toSmppAddress } from '../sms/phone-number.ts'
import { Admission } from './admission.ts'
import type { AnsweredFile } from './answered-file.ts'
import { DelayLanes } from './delay-lanes.ts'
import { Deliveries } from './deliveries.ts'
import { drawLost, drawOutcome, type Fate, fateByOutcome, fateOf } from './fates.ts'
import { Handsets } from './handsets.ts'
import type { RawFile } from './raw-file.ts'
import { makeReceipt, type Receipt, receiptPdu } from './receipts.ts'
import { Replies, type Reply } from './replies.ts'
import type { Settings } from './settings.ts'
import { hexId, spellId } from './smsc-id.ts'

/** A part of a text that a handset wrote. */
type Mo = { kind: 'mo'; pdu: DeliverSm }
type Delivery = Receipt | Mo
type Answer = {
  session: Session
  pdu: SubmitSm
  command_status: number
  smscId: string
  at: number
  receipt: Receipt | undefined
  fate: Fate
  lost: boolean
  given: boolean
}

export type Counts = {
  accepted: number
  refused: number
  throttled: number
  answersLost: number
  receiptsSent: number
  receiptsAnswered: number
  mosSent: number
  mosAnswered: number
}

/** An answer that waits for its receipts is given then at the latest. */
const AFTER_RECEIPTS_MS = 1_000
const PUT_OFF_MS = 1_000
/** Above so many owed receipts answers slow down, a millisecond per thousand, so that memory stays flat. */
const CROWDED_ABOVE = 30_000
const CROWDED_MOST_MS = 50
const ANSWERED_FLUSH_MS = 20
const JITTER_STEPS = 32
const noText = Buffer.alloc(0)

export type SmscOptions = {
  rawFile: RawFile
  answeredFile: AnsweredFile
  settings: Settings
  lastId: number
  log: Logger
}

export class Smsc {
  readonly handsets = new Handsets()
  counts: Counts = blankCounts()
  readonly #rawFile: RawFile
  readonly #answeredFile: AnsweredFile
  readonly #log: Logger
  #settings: Settings
  #lastId: number
  readonly #admission = new Admission()
  #arrived: Answer[] = []
  #flushing = false
  readonly #answers = new DelayLanes<Answer>()
  readonly #later = new DelayLanes<Delivery | Reply>()
  /** Apart, so that one can be held, and a person's text does not wait behind all receipts. */
  readonly #mos: Deliveries<Mo>
  readonly #receipts: Deliveries<Receipt>
  readonly #replies = new Replies()
  #timer: NodeJS.Timeout | undefined
  #timerDueAt = Number.POSITIVE_INFINITY
  #answeredTimer: NodeJS.Timeout | undefined
  #moReference = 0

  constructor({ rawFile, answeredFile, settings, lastId, log }: SmscOptions) {
    this.#rawFile = rawFile
    this.#answeredFile = answeredFile
    this.#settings = settings
    this.#lastId = lastId
    this.#log = log
    const putOff = (item: Delivery) => {
      this.#later.push(item, PUT_OFF_MS, performance.now())
      this.#arm()
    }
    this.#mos = new Deliveries<Mo>({
      toPdu: (mo) => mo.pdu,
      sent: () => this.counts.mosSent++,
      answered: () => this.counts.mosAnswered++,
      putOff,
    })
    this.#receipts = new Deliveries<Receipt>({
      toPdu: (receipt) => receiptPdu(receipt, this.#settings, Date.now()),
      sent: () => this.counts.receiptsSent++,
      answered: (receipt) => this.#receiptAnswered(receipt),
      putOff,
    })
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Receipts and texts of handsets that wait for their time, a bind, a slot or an answer. */
  get owed(): number {
    return this.#later.length + this.#mos.length + this.#receipts.length
  }

  change(settings: Settings): void {
    this.#admission.change(settings)
    this.#settings = settings
    this.#mos.hold(!settings.answer)
    this.#receipts.hold(!settings.answer || settings.holdReceipts)
    this.#arm()
  }

  addReceiver(session: Session): void {
    this.#mos.addReceiver(session)
    this.#receipts.addReceiver(session)
  }

  /** Takes up the receipts that an earlier run still owed. */
  restore(receipts: Receipt[]): void {
    for (const receipt of receipts) {
      const wait = receipt.submittedAt + (fateOf(receipt.destination)?.receiptDelayMs ?? 0) - Date.now()
      if (wait > 0) this.#later.push(receipt, wait, performance.now())
      else this.#receipts.add(receipt)
    }
    this.#arm()
  }

  submit(session: Session, pdu: SubmitSm): void {
    const at = Date.now()
    const ownFate = fateOf(pdu.destination_addr)
    const text = textOf(pdu)
    const command_status = this.#admission.judge(pdu, text, ownFate, this.owed, at)
    let smscId = ''
    if (command_status === status.ESME_ROK) {
      smscId = hexId(++this.#lastId)
      this.#rawFile.add(at, smscId, pdu, text, pdu.tlvs?.user_message_reference)
    }
    const fate = ownFate ?? fateByOutcome[drawOutcome(this.#settings.receiptMix, this.#lastId)]
    const lost = fate.answer === 'lost' || drawLost(this.#settings.loseAnswers, this.#lastId)
    this.#arrived.push({ session, pdu, command_status, smscId, at, receipt: undefined, fate, lost, given: false })
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(this.#flush)
  }

  /** A text is written on a virtual handset: it goes out as one deliver_sm per part. */
  handsetWrites(phone: number, shortCode: string, content: string): void {
    this.#moReference = (this.#moReference + 1) & 0xff
    const parts = encodeParts(content, this.#moReference)
    this.handsets.write(phone, shortCode, content, parts.length, Date.now())
    for (const part of parts) {
      const pdu = deliverSm({
        source_addr_ton: ton.international,
        source_addr_npi: npi.isdn,
        source_addr: toSmppAddress(phone),
        destination_addr: shortCode,
        ...part,
      })
      this.#mos.add({ kind: 'mo', pdu })
    }
  }

  /** Forgets what is owed and what was counted; answers are still given, and the raw file stays as it is. */
  reset(): void {
    this.#later.clear()
    this.#mos.clear()
    this.#receipts.clear()
    this.#replies.clear()
    this.#admission.clear()
    this.handsets.clear()
    this.counts = blankCounts()
    this.#rawFile.flush()
    this.#answeredFile.startAt(this.#rawFile.size, [])
  }

  /** Answers all that was accepted, what still comes at once, and sends nothing more of its own. */
  windUp(): void {
    this.#settings = { ...this.#settings, latencyMs: 0, answer: true }
    this.#mos.hold(true)
    this.#receipts.hold(true)
    clearTimeout(this.#timer)
    this.#timerDueAt = Number.NEGATIVE_INFINITY
    this.#answers.takeDue(Number.POSITIVE_INFINITY, (answer) => this.#give(answer))
  }

  /** To be called when every session is closed. Receipts still owed are sent by the next run. */
  close(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#answeredTimer)
    this.#rawFile.flush()
    this.#rawFile.close()
    this.#answeredFile.close()
  }

  /** One write for all that arrived in this turn; only then is anything answered. */
  #flush = (): void => {
    this.#flushing = false
    const arrived = this.#arrived
    this.#arrived = []
    const written = this.#writeRaw()
    const now = performance.now()
    const { answer: answering, latencyJitterMs } = this.#settings
    const leastMs = this.#settings.latencyMs + this.#crowdedMs()
    for (const answer of arrived) {
      if (!written && answer.command_status === status.ESME_ROK) answer.command_status = status.ESME_RSYSERR
      this.#count(answer.command_status)
      if (answer.command_status === status.ESME_ROK) this.#accept(answer)
      const latencyMs = latencyJitterMs > 0 ? leastMs + drawJitter(latencyJitterMs) : leastMs
      if (answer.receipt?.group?.settled) this.#giveReceiptsFirst(answer, answer.receipt, now)
      else if (latencyMs === 0 && answering) this.#give(answer)
      else this.#answers.push(answer, latencyMs, now)
    }
    this.#arm()
  }

  /** What a client that takes receipts more slowly than it submits waits on top of the latency. */
  #crowdedMs(): number {
    // at a delay the receipts that are not due yet are nobody's fault
    const late = this.#settings.holdReceipts ? 0 : this.#receipts.length
    return Math.min(CROWDED_MOST_MS, Math.ceil(Math.max(0, late - CROWDED_ABOVE) / 1_000))
  }

  #writeRaw(): boolean {
    try {
      this.#rawFile.flush()
      return true
    } catch (err) {
      this.#log.error({ err }, 'raw file cannot be written; messages are refused')
      return false
    }
  }

  #count(command_status: number): void {
    if (command_status === status.ESME_ROK) this.counts.accepted++
    else if (command_status === status.ESME_RTHROTTLED) this.counts.throttled++
    else this.counts.refused++
  }

  #accept(answer: Answer): void {
    const { pdu, fate, smscId, at } = answer
    const text = textOf(pdu)
    const { destination_addr, source_addr, data_coding, esm_class } = pdu
    if (fate.outcome === 'delivered' || fate.outcome === 'none') {
      this.handsets.receive({ destination_addr, source_addr, data_coding, esm_class, text, at })
    }
    const reply = fate.reply && this.#replies.replyTo(pdu, fate.reply, at)
    if (reply) this.#later.push(reply, reply.delayMs, performance.now())
    answer.receipt = makeReceipt(smscId, at, fate.outcome, pdu, text)
    if (answer.receipt) this.#groupReceipts(answer, answer.receipt)
    // The mix is not what a next run would draw again: it must not owe what this one decided not to send.
    if (fate === fateByOutcome.none) this.#settleReceipt(smscId)
  }

  #groupReceipts(answer: Answer, receipt: Receipt): void {
    const first = answer.fate.answer === 'after_receipts' || this.#settings.receiptsFirst
    const count = Math.max(answer.fate.receiptCount, this.#settings.receiptCount)
    if (!first && count === 1) return
    receipt.group = { left: count, settled: first ? () => this.#give(answer) : undefined }
  }

  #giveReceiptsFirst(answer: Answer, receipt: Receipt, now: number): void {
    answer.receipt = undefined
    this.#addReceipt(receipt, 0)
    this.#answers.push(answer, AFTER_RECEIPTS_MS, now)
  }

  #give(answer: Answer): void {
    if (answer.given) return
    answer.given = true
    const { session, pdu, command_status, smscId, receipt, fate, lost } = answer
    if (command_status !== status.ESME_ROK) session.respond(pdu, { command_status })
    else if (lost) this.counts.answersLost++
    else session.respond(pdu, { message_id: spellId(smscId, this.#settings.idForm) })
    if (!receipt) return
    const delayMs = this.#settings.receiptDelayMs + fate.receiptDelayMs
    this.#addReceipt(receipt, delayMs)
  }

  /** Puts the receipt on its way, as often as it is to be sent. */
  #addReceipt(receipt: Receipt, delayMs: number): void {
    for (let left = receipt.group?.left ?? 1; left > 0; left--) {
      if (delayMs === 0) this.#receipts.add(receipt)
      else this.#later.push(receipt, delayMs, performance.now())
    }
  }

  #receiptAnswered(receipt: Receipt): void {
    this.counts.receiptsAnswered++
    if (receipt.group && --receipt.group.left > 0) return
    receipt.group?.settled?.()
    this.#settleReceipt(receipt.smscId)
  }

  #settleReceipt(smscId: string): void {
    this.#answeredFile.add(smscId)
    this.#answeredTimer ??= setTimeout(() => {
      this.#answeredTimer = undefined
      this.#answeredFile.flush()
      if (this.owed + this.#answers.length + this.#arrived.length === 0) this.#answeredFile.compact(this.#rawFile.size)
    }, ANSWERED_FLUSH_MS)
  }

  #tick = (): void => {
    this.#timer = undefined
    this.#timerDueAt = Number.POSITIVE_INFINITY
    if (!this.#settings.answer) return
    const now = performance.now()
    this.#answers.takeDue(now, (answer) => this.#give(answer))
    this.#later.takeDue(now, (item) => {
      if (item.kind === 'reply') this.handsetWrites(item.phone, item.shortCode, item.content)
      else if (item.kind === 'mo') this.#mos.add(item)
      else this.#receipts.add(item)
    })
    this.#arm()
  }

  #arm(): void {
    if (!this.#settings.answer) return
    const dueAt = Math.min(this.#answers.nextDueAt(), this.#later.nextDueAt())
    if (dueAt >= this.#timerDueAt) return
    clearTimeout(this.#timer)
    this.#timerDueAt = dueAt
    this.#timer = setTimeout(this.#tick, Math.max(0, dueAt - performance.now()))
  }
}

function textOf(pdu: SubmitSm): Buffer {
  return pdu.short_message.length > 0 ? pdu.short_message : (pdu.tlvs?.message_payload ?? noText)
}

/** One of a few steps up to that much: each step is a queue of its own. */
function drawJitter(mostMs: number): number {
  return (Math.floor(Math.random() * (JITTER_STEPS + 1)) * mostMs) / JITTER_STEPS
}

function blankCounts(): Counts {
  return {
    accepted: 0,
    refused: 0,
    throttled: 0,
    answersLost: 0,
    receiptsSent: 0,
    receiptsAnswered: 0,
    mosSent: 0,
    mosAnswered: 0,
  }
}
