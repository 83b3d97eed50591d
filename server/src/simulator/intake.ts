import type { Logger } from 'pino'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { SubmitMulti, SubmitSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { Admission } from './admission.ts'
import { drawLost, drawOutcome, fateByOutcome, fateOf } from './fates.ts'
import { type PendingResponse, textOf } from './pending-response.ts'
import type { RawFile } from './raw-file.ts'
import type { Settings } from './settings.ts'
import { hexId } from './smsc-id.ts'
import { fromDataSm, fromSubmitMulti, MultiResponse, type Submission } from './submissions.ts'

/** Minimum time between two log lines about the raw file, because each turn of the event loop may fail. */
const LOG_MS = 60_000

export type IntakeCounts = { accepted: number; rejected: number; throttled: number }

export type IntakeOptions = {
  rawFile: RawFile
  /** The last SMSC id of earlier runs. */
  lastId: number
  log: Logger
  settings(): Settings
  /** Returns the number of owed receipts and texts of handsets. */
  owed(): number
  /** Called before texts are written. */
  beforeWrite(): void
  /** Called with the texts of one turn of the event loop, after the accepted ones are in the raw file. */
  onWritten(batch: PendingResponse[]): void
}

/**
 * Accepts or rejects submitted texts. The texts of one turn of the event loop are one batch, which is appended to the raw
 * file in one write before any response.
 */
export class Intake {
  counts: IntakeCounts = blankCounts()
  readonly #options: IntakeOptions
  readonly #admission = new Admission()
  #lastId: number
  #batch: PendingResponse[] = []
  #isScheduled = false
  #loggedAt = Number.NEGATIVE_INFINITY

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#lastId = options.lastId
  }

  /** Number of texts that are not written yet. */
  get length(): number {
    return this.#batch.length
  }

  change(settings: Settings): void {
    this.#admission.change(settings)
  }

  clear(): void {
    this.#admission.clear()
    this.counts = blankCounts()
  }

  submit(session: Session, request: Submission): void {
    if (request.command === 'submit_sm') this.#add(session, request, request)
    else if (request.command === 'data_sm') this.#add(session, request, fromDataSm(request))
    else this.#addMulti(session, request)
  }

  #addMulti(session: Session, request: SubmitMulti): void {
    const submits = fromSubmitMulti(request)
    if (!submits) {
      this.counts.rejected++
      session.respond(request, { command_status: status.ESME_RINVDLNAME })
      return
    }
    const multi = new MultiResponse(session, request, submits.length)
    for (const pdu of submits) this.#add(session, request, pdu, multi)
  }

  #add(session: Session, request: Submission, pdu: SubmitSm, multi?: MultiResponse): void {
    const { rawFile, settings, owed } = this.#options
    const { receiptMix, loseResponses } = settings()
    const submittedAt = Date.now()
    const ownFate = fateOf(pdu.destination_addr)
    const text = textOf(pdu)
    const command_status = rawFile.isFull
      ? this.#rejectAsFull()
      : this.#admission.decide(pdu, text, ownFate, owed(), submittedAt)
    let smscId = ''
    if (command_status === status.ESME_ROK) {
      smscId = hexId(++this.#lastId)
      rawFile.add(submittedAt, smscId, pdu, text, pdu.tlvs?.user_message_reference)
    }
    this.#batch.push({
      session,
      request,
      multi,
      pdu,
      command_status,
      id: this.#lastId,
      smscId,
      submittedAt,
      receipt: undefined,
      receiptDelayMs: 0,
      fate: ownFate ?? fateByOutcome[drawOutcome(receiptMix, this.#lastId)],
      isLost: ownFate?.response === 'lost' || drawLost(loseResponses, this.#lastId),
      isSent: false,
    })
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#flush)
  }

  #flush = (): void => {
    this.#isScheduled = false
    const batch = this.#batch
    this.#batch = []
    const isWritten = this.#writeRaw()
    for (const pending of batch) {
      if (!isWritten && pending.command_status === status.ESME_ROK) pending.command_status = status.ESME_RSYSERR
      this.#count(pending.command_status)
    }
    this.#options.onWritten(batch)
  }

  #writeRaw(): boolean {
    try {
      this.#options.beforeWrite()
      this.#options.rawFile.flush()
      return true
    } catch (err) {
      if (this.#mayLog()) this.#options.log.error({ err }, 'raw file cannot be written, rejecting messages')
      return false
    }
  }

  #rejectAsFull(): number {
    if (this.#mayLog()) this.#options.log.warn('raw file is full, rejecting messages until no receipt is owed')
    return status.ESME_RMSGQFUL
  }

  #mayLog(): boolean {
    const now = performance.now()
    if (now - this.#loggedAt < LOG_MS) return false
    this.#loggedAt = now
    return true
  }

  #count(command_status: number): void {
    if (command_status === status.ESME_ROK) this.counts.accepted++
    else if (command_status === status.ESME_RTHROTTLED) this.counts.throttled++
    else this.counts.rejected++
  }
}

function blankCounts(): IntakeCounts {
  return { accepted: 0, rejected: 0, throttled: 0 }
}
