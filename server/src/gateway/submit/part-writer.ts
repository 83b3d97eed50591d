import { normalizeMessageId } from '../../connections/message-id.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import type { Outcome } from '../../smpp/in-flight.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import type { ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import { PduError } from '../../smpp/pdu/pdu-error.ts'
import { allParts } from './chunk-encoder.ts'
import type { OutgoingText } from './outgoing-text.ts'
import type { Recorder } from './recorder.ts'
import type { TextEvent } from './text-state.ts'
import { currentTimes, msSince, type Trace, type WrittenAt } from './trace.ts'
import type { WaitingRoom } from './waiting-room.ts'

/** Statuses after which the SMSC may accept the same text a little later. */
const throttledStatuses: ReadonlySet<number> = new Set([commandStatus.ESME_RTHROTTLED, commandStatus.ESME_RMSGQFUL])
/** Statuses of a temporary error of the SMSC: the same text is retried, but not immediately. */
const temporaryErrors: ReadonlySet<number> = new Set([commandStatus.ESME_RSYSERR, commandStatus.ESME_RX_T_APPN])

const accepted: TextEvent = { kind: 'accepted' }
const unconfirmed: TextEvent = { kind: 'unconfirmed' }
const acceptedLate: TextEvent = { kind: 'accepted late' }

export type PartWriterOptions = {
  room: WaitingRoom
  recorder: Recorder
  trace: Trace
  /** All written parts of the text have an outcome, and not all were accepted; its state determines what to do next. */
  onSettled(text: OutgoingText): void
  /** The outcome of the whole text is durable. */
  onRecorded(text: OutgoingText): void
}

/** Writes parts for which a window slot and tokens are reserved, and applies their outcomes to the state of their text. */
export class PartWriter {
  readonly #options: PartWriterOptions
  // requests whose deadline has passed, in case a late response arrives
  readonly #overdue = new WeakMap<SubmitSm, { text: OutgoingText; part: number; written: WrittenAt }>()

  constructor(options: PartWriterOptions) {
    this.#options = options
  }

  /** Writes a part when its tokens are ready; immediately if no cap applies. */
  writeWhenReady(text: OutgoingText, part: number): void {
    if (text.caps.isUnlimited) this.#write(text, part)
    else this.#options.room.waitForTokens(text, part)
  }

  /** Writes a part after its wait, or returns it if its mark is too old. */
  writeAfterWait(text: OutgoingText, part: number, waitedFor: 'tokens' | 'window slot'): void {
    if (!text.mayWrite(performance.now())) this.returnPart(text, part)
    else if (waitedFor === 'tokens') this.#write(text, part)
    else this.writeWhenReady(text, part)
  }

  /** Releases what is reserved for a part that is not written, and applies that to the text. */
  returnPart(text: OutgoingText, part: number): void {
    text.group.release(1, text.caps)
    this.#apply(text, { kind: 'returned', part })
  }

  /** Records an acceptance that arrived after its deadline: the text, which has become unknown, was sent. */
  handleLateResponse(request: SubmitSm, response: ResponsePdu): void {
    const overdue = this.#overdue.get(request)
    if (!overdue || response.command !== 'submit_sm_resp' || response.command_status !== 0) return
    const { text, part, written } = overdue
    const isComplete = text.apply(acceptedLate).name === 'accepted'
    const responseMs = msSince(written)
    this.#recordPart(text, part, response.message_id, isComplete, { writtenAt: written.at, responseMs }, () => {})
  }

  #write(text: OutgoingText, part: number): void {
    const { group } = text
    const pdu = text.encoder.pdu(text.recipient, text.encoded, part, text.validity)
    text.bind ??= group.emptiest()
    const written = currentTimes()
    const onOutcome = (outcome: Outcome) => this.#handleOutcome(text, part, pdu, written, outcome)
    try {
      if (group.submit(pdu, text.caps, text.bind, onOutcome)) return
    } catch (error) {
      // Only this text is rejected, because its sender or its content does not fit into a PDU. `submit` has used up what was
      // reserved for the part.
      if (!(error instanceof PduError)) throw error
      this.#apply(text, { kind: 'rejected', status: error.command_status })
      return
    }
    if (!group.canTransmit) {
      this.returnPart(text, part)
      return
    }
    // the text was marked ahead of its window slot, which is not free yet
    text.bind = undefined
    this.#options.room.waitForSlot(text, part)
  }

  #handleOutcome(text: OutgoingText, part: number, pdu: SubmitSm, written: WrittenAt, outcome: Outcome): void {
    const { connection } = text.group
    const submit = { logId: text.recipient.id, day: text.leased.chunk.loggedOn, part, connection, ...written }
    const responseMs = this.#options.trace.record(submit, outcome)
    if (outcome.kind !== 'response') {
      if (outcome.kind === 'timeout') this.#overdue.set(pdu, { text, part, written })
      const isUnsent = outcome.kind === 'closed' && !outcome.sent
      this.#apply(text, isUnsent ? { kind: 'returned', part } : unconfirmed)
      return
    }
    const status = outcome.pdu.command_status
    if (status !== 0 || outcome.pdu.command !== 'submit_sm_resp') {
      if (throttledStatuses.has(status)) text.group.windowSlots.noteThrottled()
      this.#apply(text, this.#eventOf(text, part, status))
      return
    }
    const isComplete = text.apply(accepted).name === 'accepted'
    const times = { writtenAt: written.at, responseMs }
    const onRecorded = isComplete ? () => this.#options.onRecorded(text) : () => {}
    this.#recordPart(text, part, outcome.pdu.message_id, isComplete, times, onRecorded)
    if (!isComplete && text.state.name !== 'submitting') this.#options.onSettled(text)
  }

  #eventOf(text: OutgoingText, part: number, status: number): TextEvent {
    if (throttledStatuses.has(status)) return { kind: 'throttled', part }
    // a status that the connection's status map contains is not retried
    const isTemporary = temporaryErrors.has(status) && !statusMapOf(text.group.connection).knowsStatus(status)
    return isTemporary ? { kind: 'deferred', part, status } : { kind: 'rejected', status }
  }

  #apply(text: OutgoingText, event: TextEvent): void {
    if (text.apply(event).name !== 'submitting') this.#options.onSettled(text)
  }

  #recordPart(
    text: OutgoingText,
    part: number,
    messageId: string,
    complete: boolean,
    times: { writtenAt: number; responseMs: number | null },
    recorded: () => void,
  ): void {
    const { connection } = text.group
    this.#options.recorder.accepted({
      connectionId: connection.id,
      logId: text.recipient.id,
      day: text.leased.chunk.loggedOn,
      phone: text.recipient.phone,
      part: text.encoded.pdus[part]?.message_payload ? allParts : part,
      smscId: normalizeMessageId(connection.receiptIdForm, 'response', messageId),
      spelling: messageId,
      complete,
      writtenAt: times.writtenAt,
      responseMs: times.responseMs,
      recorded,
    })
  }
}
