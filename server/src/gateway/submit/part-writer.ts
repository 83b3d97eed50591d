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
import { msSince, rightNow, type Trace, type WrittenAt } from './trace.ts'
import type { WaitingRoom } from './waiting-room.ts'

/** The SMSC asks for the same text a little later. */
const throttling: ReadonlySet<number> = new Set([commandStatus.ESME_RTHROTTLED, commandStatus.ESME_RMSGQFUL])
/** Something is wrong at the SMSC: the same text may be retried, but not at once. */
const trouble: ReadonlySet<number> = new Set([commandStatus.ESME_RSYSERR, commandStatus.ESME_RX_T_APPN])

const accepted: TextEvent = { kind: 'accepted' }
const unconfirmed: TextEvent = { kind: 'unconfirmed' }
const acceptedLate: TextEvent = { kind: 'accepted late' }

export type PartWriterOptions = {
  room: WaitingRoom
  recorder: Recorder
  trace: Trace
  /** No part of the text is on its way any more, and not all were accepted: its state says what is next. */
  onSettled(text: OutgoingText): void
  /** The outcome of the whole text is durable. */
  onRecorded(text: OutgoingText): void
}

/** Writes parts for which a window slot and a token are reserved, and turns their outcomes into events of their text. */
export class PartWriter {
  readonly #options: PartWriterOptions
  // requests whose deadline has passed, for a response that comes all the same
  readonly #overdue = new WeakMap<SubmitSm, { text: OutgoingText; part: number; written: WrittenAt }>()

  constructor(options: PartWriterOptions) {
    this.#options = options
  }

  /** Writes a part when its token is ready, which is at once where no cap is set. */
  writeWhenReady(text: OutgoingText, part: number): void {
    if (text.caps.isUnlimited) this.#write(text, part)
    else this.#options.room.waitForTokens(text, part)
  }

  /** What the part waited for is there: writes it, unless its mark is too old by now. */
  ready(text: OutgoingText, part: number, waitedFor: 'tokens' | 'window slot'): void {
    if (!text.mayWrite(performance.now())) this.returnPart(text, part)
    else if (waitedFor === 'tokens') this.#write(text, part)
    else this.writeWhenReady(text, part)
  }

  /** The part is not written: releases what is reserved for it. */
  returnPart(text: OutgoingText, part: number): void {
    text.group.release(1, text.caps)
    this.#apply(text, { kind: 'returned', part })
  }

  /** A response after its deadline: the text, unknown by now, was sent after all. */
  late(request: SubmitSm, response: ResponsePdu): void {
    const known = this.#overdue.get(request)
    if (!known || response.command !== 'submit_sm_resp' || response.command_status !== 0) return
    const { text, part, written } = known
    const isComplete = text.apply(acceptedLate).name === 'accepted'
    const responseMs = msSince(written)
    this.#recordPart(text, part, response.message_id, isComplete, { writtenAt: written.at, responseMs }, () => {})
  }

  #write(text: OutgoingText, part: number): void {
    const { group } = text
    const pdu = text.encoder.pdu(text.recipient, text.encoded, part, text.validity)
    text.bind ??= group.emptiest()
    const written = rightNow()
    const onOutcome = (outcome: Outcome) => this.#ended(text, part, pdu, written, outcome)
    try {
      if (group.submit(pdu, text.caps, text.bind, onOutcome)) return
    } catch (error) {
      // a sender or a text that no PDU can carry is rejected alone; the reservation went with the attempt
      if (!(error instanceof PduError)) throw error
      this.#apply(text, { kind: 'rejected', status: error.command_status })
      return
    }
    if (!group.canTransmit) {
      this.returnPart(text, part)
      return
    }
    // its window slot was given away a little before it is free
    text.bind = undefined
    this.#options.room.waitForSlot(text, part)
  }

  #ended(text: OutgoingText, part: number, pdu: SubmitSm, written: WrittenAt, outcome: Outcome): void {
    const { connection } = text.group
    const row = { logId: text.recipient.id, day: text.leased.chunk.loggedOn, part, connection, ...written }
    const responseMs = this.#options.trace.ended(row, outcome)
    if (outcome.kind !== 'response') {
      if (outcome.kind === 'timeout') this.#overdue.set(pdu, { text, part, written })
      const isUnsent = outcome.kind === 'closed' && !outcome.sent
      this.#apply(text, isUnsent ? { kind: 'returned', part } : unconfirmed)
      return
    }
    const status = outcome.pdu.command_status
    if (status !== 0 || outcome.pdu.command !== 'submit_sm_resp') {
      if (throttling.has(status)) text.group.windowSlots.noteThrottled()
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
    if (throttling.has(status)) return { kind: 'throttled', part }
    // the connection's own meaning of a status comes first
    const isTrouble = trouble.has(status) && !statusMapOf(text.group.connection).knowsStatus(status)
    return isTrouble ? { kind: 'troubled', part, status } : { kind: 'rejected', status }
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
