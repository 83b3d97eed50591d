// The message center: determines the course of each accepted text, responds after the set latency and sends the receipts. It
// uses no timer and no promise per message, so that the simulator never limits a measurement of the product.

import type { Logger } from 'pino'
import { delayUntil } from '../lib/timers.ts'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { RequestPdu } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { DelayLanes } from './delay-lanes.ts'
import { drawJitter, setReceiptDelay, slowdownMs } from './delays.ts'
import { fateByOutcome, fateOf } from './fates.ts'
import { HandsetTraffic } from './handset-traffic.ts'
import type { Handsets } from './handsets.ts'
import { Intake, type IntakeCounts } from './intake.ts'
import { isMessageOperation, MessageOperations } from './message-operations.ts'
import { MessageStates } from './message-states.ts'
import { Outgoing, type OutgoingCounts } from './outgoing.ts'
import { type PendingResponse, sendResponse, textOf } from './pending-response.ts'
import type { RawFile } from './raw-file.ts'
import { makeReceipt, type OwedReceipt, receiptPdu, stateOf } from './receipts.ts'
import type { Settings } from './settings.ts'
import type { SettledReceipts } from './settled-receipts.ts'
import { spellId } from './smsc-id.ts'
import { isSubmission } from './submissions.ts'

export type Counts = IntakeCounts & { responsesLost: number }

/** Maximum delay of a response that waits for its receipts. */
const AFTER_RECEIPTS_MS = 1_000
const SETTLED_FLUSH_MS = 20

export type SmscOptions = {
  rawFile: RawFile
  settledReceipts: SettledReceipts
  settings: Settings
  lastId: number
  log: Logger
}

export class Smsc {
  readonly #rawFile: RawFile
  readonly #settledReceipts: SettledReceipts
  #settings: Settings
  readonly #intake: Intake
  readonly #responses = new DelayLanes<PendingResponse>()
  #responsesLost = 0
  readonly #outgoing = new Outgoing({
    receiptPdu: (receipt) => receiptPdu(receipt, this.#settings, Date.now()),
    receiptAcknowledged: (receipt) => this.#receiptAcknowledged(receipt),
    replyDue: ({ phone, shortCode, content }) => this.#traffic.send(phone, shortCode, content),
    onDefer: () => this.#arm(),
  })
  readonly #traffic = new HandsetTraffic(this.#outgoing, () => this.#settings)
  readonly #states = new MessageStates()
  readonly #operations: MessageOperations
  #timer: NodeJS.Timeout | undefined
  #timerDueAt = Number.POSITIVE_INFINITY
  #settledTimer: NodeJS.Timeout | undefined
  /** While true, all responses are due immediately and no timer runs. */
  #isStopping = false

  constructor({ rawFile, settledReceipts, settings, lastId, log }: SmscOptions) {
    this.#rawFile = rawFile
    this.#settledReceipts = settledReceipts
    this.#settings = settings
    this.#intake = new Intake({
      rawFile,
      lastId,
      log,
      settings: () => this.#settings,
      owed: () => this.owed,
      beforeWrite: () => this.#rotateIfIdle(),
      onWritten: (batch) => this.#process(batch),
    })
    this.#operations = new MessageOperations({
      states: this.#states,
      handsets: this.handsets,
      settings: () => this.#settings,
      withdraw: (smscId) => this.#withdraw(smscId),
      pending: (smscId) => this.#pending(smscId),
      add: (receipt) => this.#outgoing.addReceipt(receipt, 0),
    })
  }

  get handsets(): Handsets {
    return this.#traffic.handsets
  }

  get counts(): Counts {
    return { ...this.#intake.counts, responsesLost: this.#responsesLost }
  }

  get outgoingCounts(): OutgoingCounts {
    return this.#outgoing.counts
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Number of receipts and texts of handsets that are not acknowledged, whether due or not. */
  get owed(): number {
    return this.#outgoing.length
  }

  change(settings: Settings): void {
    this.#intake.change(settings)
    this.#settings = settings
    this.#outgoing.pause(!settings.responding, settings.pauseReceipts)
    this.#arm()
  }

  addReceiver(session: Session): void {
    this.#outgoing.addReceiver(session)
  }

  /** Schedules the receipts that earlier runs still owed. */
  restore(receipts: OwedReceipt[]): void {
    for (const receipt of receipts) {
      const waitMs = receipt.submittedAt + (fateOf(receipt.destination)?.receiptDelayMs ?? 0) - Date.now()
      this.#outgoing.addReceipt(receipt, Math.max(0, waitMs))
    }
    this.#arm()
  }

  /** Handles a request of a bound client. */
  handle(session: Session, request: RequestPdu): void {
    if (isSubmission(request)) this.#intake.submit(session, request)
    else if (isMessageOperation(request)) session.respond(request, this.#operations.responseTo(request, Date.now()))
    else session.respond(request, { command_status: status.ESME_RINVCMDID })
  }

  /** Sends a text of a virtual handset, with one deliver_sm per part. */
  sendMo(phone: number, shortCode: string, content: string): void {
    this.#traffic.send(phone, shortCode, content)
  }

  /** Drops all owed items and resets the counts; pending responses are still sent, and the raw file is unchanged. */
  reset(): void {
    this.#outgoing.clear()
    this.#traffic.clear()
    this.#intake.clear()
    this.#states.clear()
    this.#responsesLost = 0
    this.#rawFile.flush()
    this.#settledReceipts.startAt(this.#rawFile.size, [])
  }

  /** Prepares a stop: sends all pending responses, responds immediately to later requests, and sends no receipts and MOs. */
  respondToAll(): void {
    this.#isStopping = true
    this.#outgoing.pause(true, true)
    clearTimeout(this.#timer)
    this.#timerDueAt = Number.NEGATIVE_INFINITY
    this.#responses.takeDue(Number.POSITIVE_INFINITY, (pending) => this.#respond(pending))
  }

  /** Closes the files; call it when all sessions are closed. The next run sends the receipts still owed. */
  close(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#settledTimer)
    this.#rawFile.flush()
    this.#rawFile.close()
    this.#settledReceipts.close()
  }

  #process(batch: PendingResponse[]): void {
    const now = performance.now()
    const { responding, latencyJitterMs } = this.#settings
    // paused receipts and receipts that are not due are not delayed by the client
    const overdue = this.#settings.pauseReceipts ? 0 : this.#outgoing.receiptsDue
    const minLatencyMs = this.#settings.latencyMs + slowdownMs(overdue)
    for (const pending of batch) {
      if (pending.command_status === status.ESME_ROK) this.#accept(pending, minLatencyMs)
      const latencyMs = latencyJitterMs > 0 ? minLatencyMs + drawJitter(latencyJitterMs) : minLatencyMs
      if (this.#isStopping) this.#respond(pending)
      else if (pending.receipt?.group?.onSettled) this.#sendReceiptsFirst(pending, pending.receipt, now)
      else if (latencyMs === 0 && responding) this.#respond(pending)
      else this.#responses.push(pending, latencyMs, now)
    }
    this.#arm()
  }

  #accept(pending: PendingResponse, latencyMs: number): void {
    const { pdu, fate, id, smscId, submittedAt } = pending
    const text = textOf(pdu)
    const state = setReceiptDelay(pending, latencyMs, this.#settings.receiptDelayMs)
    if (state === 'delivered' || state === 'none') this.#traffic.deliver(pending, text)
    pending.receipt = makeReceipt(smscId, submittedAt, state, pdu, text)
    if (pending.receipt) this.#groupReceipts(pending, pending.receipt)
    const finalAt = submittedAt + latencyMs + pending.receiptDelayMs
    this.#states.add(id, pdu.source_addr, pdu.destination_addr, stateOf(state), finalAt)
    // the next run may draw another outcome, and must not owe a receipt that this run does not send
    if (fate === fateByOutcome.none) this.#settleReceipt(smscId)
  }

  #groupReceipts(pending: PendingResponse, receipt: OwedReceipt): void {
    const isFirst = pending.fate.response === 'after_receipts' || this.#settings.receiptsFirst
    const count = Math.max(pending.fate.receiptCount, this.#settings.receiptCount)
    if (receipt.isUnrequested || (!isFirst && count === 1)) return
    receipt.group = { unacknowledged: count, onSettled: isFirst ? () => this.#respond(pending) : undefined }
  }

  #sendReceiptsFirst(pending: PendingResponse, receipt: OwedReceipt, now: number): void {
    pending.receipt = undefined
    this.#addReceipt(receipt, 0)
    this.#responses.push(pending, AFTER_RECEIPTS_MS, now)
  }

  #respond(pending: PendingResponse): void {
    if (pending.isSent) return
    pending.isSent = true
    const { command_status, smscId, receipt, isLost } = pending
    if (command_status !== status.ESME_ROK) sendResponse(pending, { command_status })
    else if (!isLost) sendResponse(pending, { message_id: spellId(smscId, this.#settings.idForm) })
    else {
      this.#responsesLost++
      sendResponse(pending, undefined)
    }
    if (receipt) this.#addReceipt(receipt, pending.receiptDelayMs)
  }

  /** Schedules the receipt once for each time that it must be sent. */
  #addReceipt(receipt: OwedReceipt, delayMs: number): void {
    for (let n = receipt.group?.unacknowledged ?? 1; n > 0; n--) this.#outgoing.addReceipt(receipt, delayMs)
  }

  /** Returns the receipts of this message that are not due yet, including those of pending responses. */
  #pending(smscId: string): OwedReceipt[] {
    const unsent = [...this.#responses].filter((pending) => pending.smscId === smscId).map(({ receipt }) => receipt)
    return this.#outgoing.pending(smscId).concat(unsent.filter((receipt) => receipt !== undefined))
  }

  #withdraw(smscId: string): OwedReceipt[] {
    for (const pending of this.#responses) {
      if (pending.smscId !== smscId || !pending.receipt) continue
      pending.receipt.outcome = 'deleted'
      pending.receipt.isUnrequested = false
      pending.receiptDelayMs = 0
    }
    return this.#outgoing.withdraw(smscId)
  }

  #receiptAcknowledged(receipt: OwedReceipt): void {
    if (receipt.group && --receipt.group.unacknowledged > 0) return
    receipt.group?.onSettled?.()
    this.#settleReceipt(receipt.smscId)
  }

  #settleReceipt(smscId: string): void {
    this.#settledReceipts.add(smscId)
    this.#settledTimer ??= setTimeout(() => {
      this.#settledTimer = undefined
      this.#settledReceipts.flush()
      const open = this.owed + this.#responses.length + this.#intake.length
      if (open === 0) this.#settledReceipts.compact(this.#rawFile.size)
    }, SETTLED_FLUSH_MS)
  }

  /** Rotates a large raw file if no receipt of its texts is owed, also by the next run after a kill at any step. */
  #rotateIfIdle(): void {
    if (!this.#rawFile.isLarge || this.owed + this.#responses.length > 0) return
    const replaceSettled = this.#settledReceipts.prepare(0, [])
    this.#rawFile.rotate()
    replaceSettled()
  }

  #tick = (): void => {
    this.#timer = undefined
    this.#timerDueAt = Number.POSITIVE_INFINITY
    if (!this.#settings.responding) return
    const now = performance.now()
    this.#responses.takeDue(now, (pending) => this.#respond(pending))
    this.#outgoing.sendDue(now)
    this.#arm()
  }

  #arm(): void {
    if (!this.#settings.responding) return
    const dueAt = Math.min(this.#responses.nextDueAt(), this.#outgoing.nextDueAt())
    if (dueAt >= this.#timerDueAt) return
    clearTimeout(this.#timer)
    this.#timerDueAt = dueAt
    this.#timer = setTimeout(this.#tick, delayUntil(dueAt, performance.now()))
  }
}
