import type { Logger } from 'pino'
import { normalizeMessageId } from '../../connections/message-id.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import type { Db } from '../../db/db.ts'
import { retryLostRaces } from '../../db/retry.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Recipient } from '../../log/chunk.ts'
import { correctPartCounts, markSubmitting, unmarkSubmitting } from '../../log/marks.queries.ts'
import { lanes } from '../../messages/messages.ts'
import type { Runtime } from '../../runtime.ts'
import type { Outcome } from '../../smpp/in-flight.ts'
import { commandStatus, statusName } from '../../smpp/pdu/command-status.ts'
import type { ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import { PduError } from '../../smpp/pdu/pdu-error.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { type CapSet, noCaps } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import { allParts } from './chunk-encoder.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import { type Flight, makeFlight } from './outgoing-text.ts'
import { Pacer } from './pacer.ts'
import { PartialSends } from './partial-sends.ts'
import type { Recorder } from './recorder.ts'
import { msSince, rightNow, type Trace, type WrittenAt } from './trace.ts'

const {
  markFreshMs,
  partRetryMs,
  remarkMaxMs,
  remarkMinMs,
  requeueBatchMs,
  retryDelaysMs,
  throttledRetryMs,
  unboundRetryMs,
  unmarkRetryMaxMs,
  unmarkRetryMinMs,
} = timing

/** The SMSC asks us to come again soon with the same text. */
const temporary: ReadonlySet<number> = new Set([commandStatus.ESME_RTHROTTLED, commandStatus.ESME_RMSGQFUL])

/** Something is wrong at the SMSC: the same text may be tried again, but not at once. */
const troubled: ReadonlySet<number> = new Set([commandStatus.ESME_RSYSERR, commandStatus.ESME_RX_T_APPN])
/** A text of which parts are with the carrier cannot wait so long: its others are tried again so often, so soon. */
const partTries = 3

/**
 * Takes recipients from marked to answered: marks them in the database, writes their PDUs into places reserved
 * beforehand, and hands each outcome to the recorder.
 */
export class Submitter {
  readonly #db: Db
  readonly #clock: Clock
  readonly #recorder: Recorder
  readonly #trace: Trace
  readonly #log: Logger
  readonly #onChange: () => void
  // requests whose deadline has passed, for a response that comes all the same
  readonly #overdue = new WeakMap<SubmitSm, { flight: Flight; part: number; written: WrittenAt }>()
  readonly #begun: PartialSends
  readonly #pacer = new Pacer()
  readonly #requeued = new Map<LeasedChunk, { recipients: Recipient[]; afterMs: number }>()

  constructor(
    { db, clock, log }: Pick<Runtime, 'db' | 'clock' | 'log'>,
    recorder: Recorder,
    trace: Trace,
    onChange: () => void,
  ) {
    this.#db = db
    this.#clock = clock
    this.#recorder = recorder
    this.#trace = trace
    this.#log = log
    this.#onChange = onChange
    const end = (flight: Flight) => {
      flight.inDoubt = true
      this.#land(flight)
    }
    this.#begun = new PartialSends({ db, clock, log, end, onChange })
  }

  /**
   * Marks these recipients of the chunk and submits those who may be texted. So many places of the line and tokens of
   * its caps are reserved for each; where the text has more parts, the others follow as places come free.
   */
  async submit(
    leased: LeasedChunk,
    group: BindGroup,
    recipients: Recipient[],
    places: number,
    caps: CapSet = noCaps,
  ): Promise<void> {
    leased.open += recipients.length
    const began = performance.now()
    let marked: number[]
    try {
      marked = await retryLostRaces(() => markSubmitting(this.#db, leased.chunk, recipients, this.#clock.now()))
    } catch (error) {
      // the mark may have committed all the same: take it back before anything else happens to these rows
      this.#log.warn({ err: error, chunk: leased.chunk.id }, 'could not mark texts, trying again')
      group.release(recipients.length * places, caps)
      await this.#requeue(leased, recipients, remarkMinMs)
      return
    }
    const tookMs = performance.now() - began
    group.noteMarking(tookMs)
    caps.noteMarking(tookMs)
    const may = new Set(marked)
    const going = recipients.filter((recipient) => may.has(recipient.id))
    group.release((recipients.length - going.length) * places, caps)
    leased.open -= recipients.length - going.length
    const { text } = leased.textsFor(group)
    const flights = going.map((recipient) => makeFlight({ leased, group, recipient, text, caps, allowedAt: began }))
    const isCorrect = flights.length === 0 || (await this.#correctPartCounts(leased, flights))
    if (flights.length > 0 && (!isCorrect || !flights.every((flight) => mayWrite(flight)))) {
      group.release(going.length * places, caps)
      if (isCorrect && !leased.lost)
        this.#log.warn({ chunk: leased.chunk.id, ms: tookMs }, 'marked texts too late to write them')
      const afterMs = Math.min(remarkMaxMs, Math.max(remarkMinMs, tookMs))
      await this.#requeue(leased, going, afterMs)
      return
    }
    const validity = text.validityAt(this.#clock.now())
    for (const flight of flights) {
      flight.validity = validity
      this.#write(flight, places)
    }
    this.#onChange()
  }

  /** A receipt for each part must find its place in the row; false when that could not be written down. */
  async #correctPartCounts(leased: LeasedChunk, flights: Flight[]): Promise<boolean> {
    const wrong = flights
      .filter(({ encoded, recipient }) => encoded.partCount !== recipient.partCount)
      .map(({ encoded, recipient }) => ({ id: recipient.id, partCount: encoded.partCount }))
    if (wrong.length === 0) return true
    try {
      await retryLostRaces(() => correctPartCounts(this.#db, leased.chunk.loggedOn, wrong))
      for (const { encoded, recipient } of flights) recipient.partCount = encoded.partCount
      return true
    } catch (error) {
      this.#log.warn({ err: error, chunk: leased.chunk.id }, 'could not correct the parts of texts, trying again')
      return false
    }
  }

  /**
   * Writes what is left of the texts that have begun, and answers the lines that have too few places for all of it and
   * the caps that have too few tokens; `onTokens` is told when they will have some.
   */
  resume(now: number, onTokens: (at: number) => void): Set<BindGroup | CapSet> {
    const full = new Set<BindGroup | CapSet>()
    for (const begun of this.#begun.take(now)) {
      const { flight } = begun
      const { group } = flight
      // none of its tokens is in hand, so the caps may be those of today
      flight.caps = group.capsFor(flight.leased.chunk.shortCodeId, group.carrierOf(flight.recipient))
      const [places, tokens] = [group.free(), flight.caps.free(now)]
      const room = Math.min(places, tokens, flight.returned.length)
      if (places < flight.returned.length) full.add(group)
      if (tokens < flight.returned.length) {
        full.add(flight.caps)
        flight.caps.want(now, flight.returned.length)
        onTokens(flight.caps.freeAt(now, 1))
      }
      if (room === 0) {
        this.#begun.putBack(begun)
        continue
      }
      const parts = flight.returned.splice(0, room)
      flight.unanswered = room
      flight.retryMs = 0
      group.reserve(room, flight.caps)
      flight.bind = undefined
      flight.validity = flight.text.validityAt(this.#clock.now())
      for (const part of parts) this.#pace(flight, part)
    }
    return full
  }

  /** A response after its deadline: the text, unknown by now, was sent after all. */
  late(request: SubmitSm, response: ResponsePdu): void {
    const known = this.#overdue.get(request)
    if (!known || response.command !== 'submit_sm_resp' || response.command_status !== 0) return
    const { flight, part, written } = known
    const complete = ++flight.accepted === flight.encoded.pdus.length
    const when = { writtenAt: written.at, responseMs: msSince(written) }
    this.#accept(flight, part, response.message_id, complete, when, () => {})
  }

  #write(flight: Flight, places: number): void {
    const { group, caps, encoded } = flight
    const now = Math.min(places, encoded.pdus.length)
    // places were taken for the longest text of the chunk
    if (now < places) group.release(places - now, caps)
    flight.unanswered = now
    for (let part = now; part < encoded.pdus.length; part++) flight.returned.push(part)
    for (let part = 0; part < now; part++) this.#pace(flight, part)
  }

  /** Writes a part when its tokens are ready, which is at once where no cap is set. */
  #pace(flight: Flight, part: number): void {
    if (flight.caps.isUnlimited) {
      this.#writePart(flight, part)
      return
    }
    this.#pacer.add({
      caps: flight.caps,
      urgent: flight.leased.chunk.lane !== lanes.broadcast,
      write: () => {
        if (mayWrite(flight)) this.#writePart(flight, part)
        else this.#giveUp(flight, part)
      },
      giveUp: () => this.#giveUp(flight, part),
    })
  }

  /** A part whose time did not come has not left, and is offered again. */
  #giveUp(flight: Flight, part: number): void {
    this.#return(flight, part)
    if (--flight.unanswered === 0) this.#land(flight)
  }

  #return(flight: Flight, part: number): void {
    flight.group.release(1, flight.caps)
    flight.returned.push(part)
    flight.retryMs = Math.max(flight.retryMs, unboundRetryMs)
  }

  #writePart(flight: Flight, part: number): void {
    const pdu = flight.text.pdu(flight.recipient, flight.encoded, part, flight.validity)
    flight.bind ??= flight.group.emptiest()
    const written = rightNow()
    const done = (outcome: Outcome) => this.#answered(flight, part, pdu, written, outcome)
    try {
      if (flight.group.submit(pdu, flight.caps, flight.bind, done)) return
      if (flight.group.transmits) {
        this.#await(flight, part)
        return
      }
      this.#return(flight, part)
    } catch (error) {
      // a sender or a text that no PDU can carry: its own fault, and not the end of all other texts
      if (!(error instanceof PduError)) throw error
      flight.refusal ??= error.command_status
    }
    if (--flight.unanswered === 0) this.#land(flight)
  }

  /** Lets a part wait for its place, which was given away a little before it is free; its tokens are asked once more then. */
  #await(flight: Flight, part: number): void {
    flight.bind = undefined
    flight.group.wait({
      urgent: flight.leased.chunk.lane !== lanes.broadcast,
      write: () => {
        if (mayWrite(flight)) this.#pace(flight, part)
        else this.#giveUp(flight, part)
      },
      giveUp: () => this.#giveUp(flight, part),
    })
  }

  #answered(flight: Flight, part: number, pdu: SubmitSm, when: WrittenAt, outcome: Outcome): void {
    flight.unanswered--
    const { connection } = flight.group
    const written = { logId: flight.recipient.id, day: flight.leased.chunk.loggedOn, part, connection, ...when }
    const responseMs = this.#trace.ended(written, outcome)
    if (outcome.kind === 'response') {
      const status = outcome.pdu.command_status
      if (status === 0 && outcome.pdu.command === 'submit_sm_resp') {
        const whole = ++flight.accepted === flight.encoded.pdus.length
        const recorded = whole ? () => this.#recorded(flight) : () => {}
        this.#accept(flight, part, outcome.pdu.message_id, whole, { writtenAt: when.at, responseMs }, recorded)
        if (whole) return
      } else if (temporary.has(status)) {
        flight.group.slowDown()
        flight.returned.push(part)
        flight.retryMs = throttledRetryMs
      } else if (troubled.has(status) && !statusMapOf(flight.group.connection).knowsStatus(status)) {
        flight.trouble = status
        flight.returned.push(part)
      } else {
        flight.refusal ??= status
      }
    } else if (outcome.kind === 'closed' && !outcome.sent) {
      flight.returned.push(part)
      flight.retryMs = Math.max(flight.retryMs, unboundRetryMs)
    } else {
      flight.inDoubt = true
      if (outcome.kind === 'timeout') this.#overdue.set(pdu, { flight, part, written: when })
    }
    if (flight.unanswered === 0) this.#land(flight)
  }

  /** All parts are answered or given up, and not all were accepted: what is the text as a whole? */
  #land(flight: Flight): void {
    const { leased, recipient } = flight
    const entry = { logId: recipient.id, day: leased.chunk.loggedOn, recorded: () => this.#recorded(flight) }
    if (flight.refusal !== undefined) {
      const reason = statusMapOf(flight.group.connection).ofStatus(flight.refusal)
      this.#recorder.refused({ ...entry, reason, carrierStatus: statusName(flight.refusal) })
    } else if (flight.inDoubt) {
      this.#recorder.unknown(entry)
    } else if (flight.trouble !== undefined) {
      this.#landInTrouble(flight, flight.trouble)
    } else if (flight.accepted === 0) {
      this.#requeueSoon(leased, recipient, flight.retryMs)
    } else {
      // some parts are with the carrier already: the text cannot start anew, only the others are offered again
      this.#begun.add(flight, flight.retryMs)
    }
  }

  /** The SMSC could not take it for now: another try later, as long as there is one left. */
  #landInTrouble(flight: Flight, status: number): void {
    const { leased, recipient, accepted } = flight
    const afterMs = retryDelaysMs[leased.chunk.attempt]
    flight.trouble = undefined
    if (accepted > 0 ? ++flight.partTries > partTries : afterMs === undefined) {
      flight.refusal = status
      this.#land(flight)
    } else if (accepted > 0) {
      this.#begun.add(flight, partRetryMs)
    } else {
      const entry = { logId: recipient.id, day: leased.chunk.loggedOn, recorded: () => this.#recorded(flight) }
      this.#recorder.retried({ ...entry, chunk: leased.chunk, afterMs: afterMs ?? 0 })
    }
  }

  #accept(
    flight: Flight,
    part: number,
    messageId: string,
    complete: boolean,
    when: { writtenAt: number; responseMs: number | null },
    recorded: () => void,
  ): void {
    this.#recorder.accepted({
      connectionId: flight.group.connection.id,
      logId: flight.recipient.id,
      day: flight.leased.chunk.loggedOn,
      phone: flight.recipient.phone,
      part: flight.encoded.pdus[part]?.message_payload ? allParts : part,
      smscId: normalizeMessageId(flight.group.connection.receiptIdForm, 'response', messageId),
      spelling: messageId,
      complete,
      ...when,
      recorded,
    })
  }

  #recorded(flight: Flight): void {
    flight.leased.open--
    if (flight.leased.finished) this.#onChange()
  }

  #requeueSoon(leased: LeasedChunk, recipient: Recipient, afterMs: number): void {
    const waiting = this.#requeued.get(leased)
    if (waiting) {
      waiting.recipients.push(recipient)
      waiting.afterMs = Math.max(waiting.afterMs, afterMs)
      return
    }
    this.#requeued.set(leased, { recipients: [recipient], afterMs })
    setTimeout(() => {
      const { recipients, afterMs } = this.#requeued.get(leased) ?? { recipients: [], afterMs: 0 }
      this.#requeued.delete(leased)
      void this.#requeue(leased, recipients, afterMs)
    }, requeueBatchMs)
  }

  /** Takes the marks back and queues the recipients again, for as long as it takes and the chunk is ours. */
  async #requeue(leased: LeasedChunk, recipients: Recipient[], afterMs: number): Promise<void> {
    const ids = recipients.map((recipient) => recipient.id)
    for (let tries = 0; !leased.lost; tries++) {
      try {
        await retryLostRaces(() => unmarkSubmitting(this.#db, leased.chunk, ids))
        leased.retry(recipients, performance.now() + afterMs)
        if (afterMs > 0) setTimeout(this.#onChange, afterMs)
        break
      } catch (error) {
        this.#log.warn({ err: error, chunk: leased.chunk.id }, 'could not take marks back, trying again')
        await new Promise((resolve) => setTimeout(resolve, Math.min(unmarkRetryMaxMs, unmarkRetryMinMs * 2 ** tries)))
      }
    }
    leased.open -= recipients.length
    this.#onChange()
  }
}

/** Whether the chunk is still ours, and what was said of the text not too long ago. */
function mayWrite({ leased, allowedAt }: Flight): boolean {
  const now = performance.now()
  return leased.mayWrite(now) && now - allowedAt < markFreshMs
}
