// The message centre: takes submit_sm, writes them down, answers after the set latency and sends the receipts. All work
// is done in batches, what one turn of the event loop brought at a time; nothing here has a timer or a promise of its
// own per message, so that the simulator is never what a measurement of the product measures.

import type { Logger } from 'pino'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { dataCoding, npi, ton } from '../smpp/pdu/flags.ts'
import type { RequestPdu, SubmitMulti, SubmitSm } from '../smpp/pdu/pdu.ts'
import { readSmppTime } from '../smpp/pdu/time.ts'
import type { Session } from '../smpp/session.ts'
import type { ResponseFields } from '../smpp/session.types.ts'
import { encodeParts } from '../sms/parts.ts'
import { toSmppAddress } from '../sms/phone-number.ts'
import { Admission } from './admission.ts'
import { DelayLanes } from './delay-lanes.ts'
import type { ReceiptState } from './fates.ts'
import { drawLost, drawOutcome, type Fate, fateByOutcome, fateOf } from './fates.ts'
import { Handsets, sarOf } from './handsets.ts'
import { isMessageOperation, MessageOperations } from './message-operations.ts'
import { MessageStates } from './message-states.ts'
import { Outgoing, type OutgoingCounts } from './outgoing.ts'
import type { RawFile } from './raw-file.ts'
import { makeReceipt, type OwedReceipt, receiptPdu, stateOf } from './receipts.ts'
import { Replies } from './replies.ts'
import type { Settings } from './settings.ts'
import type { SettledReceipts } from './settled-receipts.ts'
import { hexId, spellId } from './smsc-id.ts'
import { fromDataSm, fromSubmitMulti, MultiResponse, type Submission } from './submissions.ts'

type Answer = {
  session: Session
  request: Submission
  /** Where the request has several messages, the one answer to all. */
  multi: MultiResponse | undefined
  pdu: SubmitSm
  command_status: number
  id: number
  smscId: string
  at: number
  receipt: OwedReceipt | undefined
  /** From the answer on. */
  receiptDelayMs: number
  fate: Fate
  lost: boolean
  given: boolean
}

export type Counts = {
  accepted: number
  refused: number
  throttled: number
  answersLost: number
}

/** An answer that waits for its receipts is given then at the latest. */
const AFTER_RECEIPTS_MS = 1_000
/** Above so many owed receipts answers slow down, a millisecond per thousand, so that memory stays flat. */
const CROWDED_ABOVE = 30_000
const CROWDED_MOST_MS = 50
const ANSWERED_FLUSH_MS = 20
const JITTER_STEPS = 32
const FINE_BELOW_MS = 10_000
const noText = Buffer.alloc(0)

export type SmscOptions = {
  rawFile: RawFile
  settledReceipts: SettledReceipts
  settings: Settings
  lastId: number
  log: Logger
}

export class Smsc {
  readonly handsets = new Handsets()
  counts: Counts = blankCounts()
  readonly #rawFile: RawFile
  readonly #settledReceipts: SettledReceipts
  readonly #log: Logger
  #settings: Settings
  #lastId: number
  readonly #admission = new Admission()
  #arrived: Answer[] = []
  #flushing = false
  readonly #answers = new DelayLanes<Answer>()
  readonly #outgoing = new Outgoing({
    receiptPdu: (receipt) => receiptPdu(receipt, this.#settings, Date.now()),
    receiptAnswered: (receipt) => this.#receiptAnswered(receipt),
    replyDue: ({ phone, shortCode, content }) => this.handsetWrites(phone, shortCode, content),
    putOff: () => this.#arm(),
  })
  readonly #replies = new Replies()
  readonly #states = new MessageStates()
  readonly #operations: MessageOperations
  #timer: NodeJS.Timeout | undefined
  #timerDueAt = Number.POSITIVE_INFINITY
  #answeredTimer: NodeJS.Timeout | undefined
  #moReference = 0
  /** Nothing waits for its time any more: no timer runs. */
  #windingUp = false

  constructor({ rawFile, settledReceipts, settings, lastId, log }: SmscOptions) {
    this.#rawFile = rawFile
    this.#settledReceipts = settledReceipts
    this.#settings = settings
    this.#lastId = lastId
    this.#log = log
    this.#operations = new MessageOperations({
      states: this.#states,
      handsets: this.handsets,
      settings: () => this.#settings,
      withdraw: (smscId) => this.#withdraw(smscId),
      pending: (smscId) => this.#pending(smscId),
      add: (receipt) => this.#outgoing.addReceipt(receipt, 0),
    })
  }

  get outgoingCounts(): OutgoingCounts {
    return this.#outgoing.counts
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Receipts and texts of handsets that wait for their time, a bind, a slot or an answer. */
  get owed(): number {
    return this.#outgoing.length
  }

  change(settings: Settings): void {
    this.#admission.change(settings)
    this.#settings = settings
    this.#outgoing.hold(!settings.answer, settings.holdReceipts)
    this.#arm()
  }

  addReceiver(session: Session): void {
    this.#outgoing.addReceiver(session)
  }

  /** Takes up the receipts that an earlier run still owed. */
  restore(receipts: OwedReceipt[]): void {
    for (const receipt of receipts) {
      const wait = receipt.submittedAt + (fateOf(receipt.destination)?.receiptDelayMs ?? 0) - Date.now()
      this.#outgoing.addReceipt(receipt, Math.max(0, wait))
    }
    this.#arm()
  }

  /** Takes a request of a client that is bound. */
  take(session: Session, request: RequestPdu): void {
    if (request.command === 'submit_sm') this.#submit(session, request, request)
    else if (request.command === 'data_sm') this.#submit(session, request, fromDataSm(request))
    else if (request.command === 'submit_multi') this.#submitMulti(session, request)
    else if (isMessageOperation(request)) session.respond(request, this.#operations.answer(request, Date.now()))
    else session.respond(request, { command_status: status.ESME_RINVCMDID })
  }

  #submitMulti(session: Session, request: SubmitMulti): void {
    const submits = fromSubmitMulti(request)
    if (!submits) {
      this.counts.refused++
      session.respond(request, { command_status: status.ESME_RINVDLNAME })
      return
    }
    const multi = new MultiResponse(session, request, submits.length)
    for (const pdu of submits) this.#submit(session, request, pdu, multi)
  }

  #submit(session: Session, request: Submission, pdu: SubmitSm, multi?: MultiResponse): void {
    const at = Date.now()
    const ownFate = fateOf(pdu.destination_addr)
    const text = textOf(pdu)
    const command_status = this.#admission.judge(pdu, text, ownFate, this.owed, at)
    let smscId = ''
    if (command_status === status.ESME_ROK) {
      smscId = hexId(++this.#lastId)
      this.#rawFile.add(at, smscId, pdu, text, pdu.tlvs?.user_message_reference)
    }
    this.#arrived.push({
      session,
      request,
      multi,
      pdu,
      command_status,
      id: this.#lastId,
      smscId,
      at,
      receipt: undefined,
      receiptDelayMs: 0,
      fate: ownFate ?? fateByOutcome[drawOutcome(this.#settings.receiptMix, this.#lastId)],
      lost: ownFate?.answer === 'lost' || drawLost(this.#settings.loseAnswers, this.#lastId),
      given: false,
    })
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
      this.#outgoing.addMo({
        source_addr_ton: ton.international,
        source_addr_npi: npi.isdn,
        source_addr: toSmppAddress(phone),
        destination_addr: shortCode,
        ...part,
      })
    }
  }

  /** Forgets what is owed and what was counted; answers are still given, and the raw file stays as it is. */
  reset(): void {
    this.#outgoing.clear()
    this.#replies.clear()
    this.#admission.clear()
    this.#states.clear()
    this.handsets.clear()
    this.counts = blankCounts()
    this.#rawFile.flush()
    this.#settledReceipts.startAt(this.#rawFile.size, [])
  }

  /** Answers all that was accepted, what still comes at once, and sends nothing more of its own. */
  windUp(): void {
    this.#windingUp = true
    this.#outgoing.hold(true, true)
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
    this.#settledReceipts.close()
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
      if (answer.command_status === status.ESME_ROK) this.#accept(answer, leastMs)
      const latencyMs = latencyJitterMs > 0 ? leastMs + drawJitter(latencyJitterMs) : leastMs
      if (this.#windingUp) this.#give(answer)
      else if (answer.receipt?.group?.settled) this.#giveReceiptsFirst(answer, answer.receipt, now)
      else if (latencyMs === 0 && answering) this.#give(answer)
      else this.#answers.push(answer, latencyMs, now)
    }
    this.#arm()
  }

  /** What a client that takes receipts more slowly than it submits waits on top of the latency. */
  #crowdedMs(): number {
    // at a delay the receipts that are not due yet are nobody's fault
    const late = this.#settings.holdReceipts ? 0 : this.#outgoing.receiptsDue
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

  #accept(answer: Answer, latencyMs: number): void {
    const { pdu, fate, id, smscId, at } = answer
    const text = textOf(pdu)
    const ending = this.#endingOf(answer, latencyMs)
    if (ending === 'delivered' || ending === 'none') this.#reachHandset(answer, text)
    answer.receipt = makeReceipt(smscId, at, ending, pdu, text)
    if (answer.receipt) this.#groupReceipts(answer, answer.receipt)
    const finalAt = at + latencyMs + answer.receiptDelayMs
    this.#states.add(id, pdu.source_addr, pdu.destination_addr, stateOf(ending), finalAt)
    // The mix is not what a next run would draw again: it must not owe what this one decided not to send.
    if (fate === fateByOutcome.none) this.#settleReceipt(smscId)
  }

  /** How and when the message ends: as its fate says, unless its validity ends before. */
  #endingOf(answer: Answer, latencyMs: number): ReceiptState | 'none' {
    const { pdu, fate, at } = answer
    answer.receiptDelayMs = this.#settings.receiptDelayMs + fate.receiptDelayMs
    if (pdu.validity_period === '' || fate.outcome === 'none') return fate.outcome
    const lifeMs = (readSmppTime(pdu.validity_period, at) ?? at) - at
    if (lifeMs >= latencyMs + answer.receiptDelayMs) return fate.outcome
    answer.receiptDelayMs = coarse(Math.max(0, lifeMs - latencyMs))
    return 'expired'
  }

  #reachHandset({ pdu, fate, smscId, at }: Answer, text: Buffer): void {
    const { destination_addr, source_addr, esm_class, tlvs } = pdu
    const latin1 = pdu.data_coding === dataCoding.smscDefault && this.#settings.charset === 'latin1'
    const data_coding = latin1 ? dataCoding.latin1 : pdu.data_coding
    const sar = tlvs === undefined ? undefined : sarOf(tlvs)
    this.handsets.receive({ smscId, destination_addr, source_addr, data_coding, esm_class, text, at, sar })
    const reply = fate.reply && this.#replies.replyTo(pdu, text, fate.reply, at)
    if (reply) this.#outgoing.addReply(reply)
  }

  #groupReceipts(answer: Answer, receipt: OwedReceipt): void {
    const first = answer.fate.answer === 'after_receipts' || this.#settings.receiptsFirst
    const count = Math.max(answer.fate.receiptCount, this.#settings.receiptCount)
    if (receipt.unasked || (!first && count === 1)) return
    receipt.group = { left: count, settled: first ? () => this.#give(answer) : undefined }
  }

  #giveReceiptsFirst(answer: Answer, receipt: OwedReceipt, now: number): void {
    answer.receipt = undefined
    this.#addReceipt(receipt, 0)
    this.#answers.push(answer, AFTER_RECEIPTS_MS, now)
  }

  #give(answer: Answer): void {
    if (answer.given) return
    answer.given = true
    const { command_status, smscId, receipt, lost } = answer
    if (command_status !== status.ESME_ROK) respond(answer, { command_status })
    else if (!lost) respond(answer, { message_id: spellId(smscId, this.#settings.idForm) })
    else {
      this.counts.answersLost++
      respond(answer, undefined)
    }
    if (receipt) this.#addReceipt(receipt, answer.receiptDelayMs)
  }

  /** Puts the receipt on its way, as often as it is to be sent. */
  #addReceipt(receipt: OwedReceipt, delayMs: number): void {
    for (let left = receipt.group?.left ?? 1; left > 0; left--) this.#outgoing.addReceipt(receipt, delayMs)
  }

  /** The receipts of this message that are not due yet, those of answers not yet given too. */
  #pending(smscId: string): OwedReceipt[] {
    const unanswered = [...this.#answers].filter((answer) => answer.smscId === smscId).map(({ receipt }) => receipt)
    return this.#outgoing.pending(smscId).concat(unanswered.filter((receipt) => receipt !== undefined))
  }

  #withdraw(smscId: string): OwedReceipt[] {
    for (const answer of this.#answers) {
      if (answer.smscId !== smscId || !answer.receipt) continue
      answer.receipt.outcome = 'deleted'
      answer.receipt.unasked = false
      answer.receiptDelayMs = 0
    }
    return this.#outgoing.withdraw(smscId)
  }

  #receiptAnswered(receipt: OwedReceipt): void {
    if (receipt.group && --receipt.group.left > 0) return
    receipt.group?.settled?.()
    this.#settleReceipt(receipt.smscId)
  }

  #settleReceipt(smscId: string): void {
    this.#settledReceipts.add(smscId)
    this.#answeredTimer ??= setTimeout(() => {
      this.#answeredTimer = undefined
      this.#settledReceipts.flush()
      if (this.owed + this.#answers.length + this.#arrived.length === 0)
        this.#settledReceipts.compact(this.#rawFile.size)
    }, ANSWERED_FLUSH_MS)
  }

  #tick = (): void => {
    this.#timer = undefined
    this.#timerDueAt = Number.POSITIVE_INFINITY
    if (!this.#settings.answer) return
    const now = performance.now()
    this.#answers.takeDue(now, (answer) => this.#give(answer))
    this.#outgoing.sendDue(now)
    this.#arm()
  }

  #arm(): void {
    if (!this.#settings.answer) return
    const dueAt = Math.min(this.#answers.nextDueAt(), this.#outgoing.nextDueAt())
    if (dueAt >= this.#timerDueAt) return
    clearTimeout(this.#timer)
    this.#timerDueAt = dueAt
    this.#timer = setTimeout(this.#tick, Math.max(0, dueAt - performance.now()))
  }
}

/** Undefined is an answer that is lost. */
function respond({ session, request, multi, pdu }: Answer, fields: ResponseFields | undefined): void {
  if (multi) multi.add(pdu, fields)
  else if (fields) session.respond(request, fields)
}

/** Up to a step, so that deadlines of every millisecond do not make as many queues. */
function coarse(ms: number): number {
  const step = ms < FINE_BELOW_MS ? 50 : 1_000
  return Math.ceil(ms / step) * step
}

function textOf(pdu: SubmitSm): Buffer {
  return pdu.short_message.length > 0 ? pdu.short_message : (pdu.tlvs?.message_payload ?? noText)
}

/** One of a few steps up to that much: each step is a queue of its own. */
function drawJitter(mostMs: number): number {
  return (Math.floor(Math.random() * (JITTER_STEPS + 1)) * mostMs) / JITTER_STEPS
}

function blankCounts(): Counts {
  return { accepted: 0, refused: 0, throttled: 0, answersLost: 0 }
}
