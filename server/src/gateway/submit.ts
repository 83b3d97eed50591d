import type { Logger } from 'pino'
import { markSubmitting, type Recipient, unmarkSubmitting } from '../broadcasts/marks.queries.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import type { Outcome } from '../smpp/in-flight.ts'
import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import type { ResponsePdu, SubmitSm } from '../smpp/pdu/pdu.ts'
import { normaliseMessageId } from '../smpp/pdu/receipt-text.ts'
import type { Session } from '../smpp/session.ts'
import type { Binds } from './binds.ts'
import type { HeldChunk } from './held-chunk.ts'
import type { Recorder } from './recorder.ts'

/** A throttled text waits so long before it is offered again. */
const throttledMs = 500

/** The SMSC asks us to come again later with the same text. */
const temporary: ReadonlySet<number> = new Set([commandStatus.ESME_RTHROTTLED, commandStatus.ESME_RMSGQFUL])
/** The number itself is at fault: no later text will do better. */
const deadNumber: ReadonlySet<number> = new Set([
  commandStatus.ESME_RINVDSTADR,
  commandStatus.ESME_RINVDSTTON,
  commandStatus.ESME_RINVDSTNPI,
])

/** One text on its way: which of its parts are answered, and how. */
type Flight = {
  held: HeldChunk
  recipient: Recipient
  unanswered: number
  accepted: number
  /** The first status that refused a part for good. */
  refusal: number | undefined
  /** Parts that certainly did not go out and may be offered again. */
  returned: number[]
  retryMs: number
  inDoubt: boolean
}

/**
 * Takes recipients from marked to answered: marks them in the database, writes their PDUs into slots reserved
 * beforehand, and hands each outcome to the recorder.
 */
export class Submitter {
  readonly #db: Db
  readonly #binds: Binds
  readonly #recorder: Recorder
  readonly #log: Logger
  readonly #onChange: () => void
  // requests whose deadline has passed, for a response that comes all the same
  readonly #overdue = new WeakMap<SubmitSm, { flight: Flight; part: number }>()

  constructor(db: Db, binds: Binds, recorder: Recorder, log: Logger, onChange: () => void) {
    this.#db = db
    this.#binds = binds
    this.#recorder = recorder
    this.#log = log
    this.#onChange = onChange
  }

  /** Marks these recipients of the chunk, for whose parts slots are reserved, and submits those who may be texted. */
  async submit(held: HeldChunk, recipients: Recipient[]): Promise<void> {
    const parts = held.text.partCount
    held.open += recipients.length
    let marked: number[]
    try {
      marked = await retryLostRaces(() => markSubmitting(this.#db, held.chunk, recipients))
    } catch (error) {
      // the mark may have committed all the same: take it back before anything else happens to these rows
      this.#log.warn({ err: error, chunk: held.chunk.id }, 'could not mark texts, trying again')
      this.#binds.release(recipients.length * parts)
      await this.#requeue(held, recipients, 0)
      return
    }
    const may = new Set(marked)
    const going = recipients.filter((recipient) => may.has(recipient.id))
    this.#binds.release((recipients.length - going.length) * parts)
    held.open -= recipients.length - going.length
    if (going.length > 0 && !held.mayWrite(performance.now())) {
      this.#binds.release(going.length * parts)
      await this.#requeue(held, going, 0)
      return
    }
    for (const recipient of going) this.#write(held, recipient)
    this.#onChange()
  }

  /** A response after its deadline: the text, unknown by now, was sent after all. */
  late(request: SubmitSm, response: ResponsePdu): void {
    const known = this.#overdue.get(request)
    if (!known || response.command !== 'submit_sm_resp' || response.command_status !== 0) return
    const { flight, part } = known
    const complete = ++flight.accepted === flight.held.text.partCount
    this.#accept(flight, part, response.message_id, complete, () => {})
  }

  #write(held: HeldChunk, recipient: Recipient): void {
    const flight: Flight = {
      held,
      recipient,
      unanswered: held.text.partCount,
      accepted: 0,
      refusal: undefined,
      returned: [],
      retryMs: 0,
      inDoubt: false,
    }
    const bind = this.#binds.emptiest()
    for (let part = 0; part < held.text.partCount; part++) this.#writePart(flight, part, bind)
  }

  #writePart(flight: Flight, part: number, bind: Session | undefined): void {
    const pdu = flight.held.text.pdu(flight.recipient, part)
    const written = this.#binds.submit(pdu, bind, (outcome) => this.#answered(flight, part, pdu, outcome))
    if (written) return
    this.#binds.release(1)
    flight.returned.push(part)
    if (--flight.unanswered === 0) this.#land(flight)
  }

  #answered(flight: Flight, part: number, pdu: SubmitSm, outcome: Outcome): void {
    flight.unanswered--
    if (outcome.kind === 'response') {
      const status = outcome.pdu.command_status
      if (status === 0 && outcome.pdu.command === 'submit_sm_resp') {
        const whole = ++flight.accepted === flight.held.text.partCount
        this.#accept(flight, part, outcome.pdu.message_id, whole, whole ? () => this.#recorded(flight) : () => {})
        if (whole) return
      } else if (temporary.has(status)) {
        flight.returned.push(part)
        flight.retryMs = throttledMs
      } else {
        flight.refusal ??= status
      }
    } else if (outcome.kind === 'closed' && !outcome.sent) {
      flight.returned.push(part)
    } else {
      flight.inDoubt = true
      if (outcome.kind === 'timeout') this.#overdue.set(pdu, { flight, part })
    }
    if (flight.unanswered === 0) this.#land(flight)
  }

  /** All parts are answered or given up, and not all were accepted: what is the text as a whole? */
  #land(flight: Flight): void {
    const { held, recipient } = flight
    const entry = { logId: recipient.id, day: held.chunk.loggedOn, recorded: () => this.#recorded(flight) }
    if (flight.refusal !== undefined) {
      const reason = deadNumber.has(flight.refusal) ? 'hard' : 'soft'
      this.#recorder.refused({ ...entry, reason, carrierStatus: statusName(flight.refusal) })
    } else if (flight.inDoubt) {
      this.#recorder.unknown(entry)
    } else if (flight.accepted === 0) {
      void this.#requeue(held, [recipient], flight.retryMs)
    } else {
      // some parts are with the carrier already: the text cannot start anew, only the others are offered again
      const parts = flight.returned
      flight.returned = []
      flight.unanswered = parts.length
      setTimeout(() => this.#offerAgain(flight, parts), Math.max(flight.retryMs, 50))
    }
  }

  #offerAgain(flight: Flight, parts: number[]): void {
    if (!flight.held.mayGoOn(performance.now())) {
      flight.inDoubt = true
      flight.unanswered = 0
      this.#land(flight)
    } else if (this.#binds.free() < parts.length) {
      setTimeout(() => this.#offerAgain(flight, parts), 50)
    } else {
      this.#binds.reserve(parts.length)
      const bind = this.#binds.emptiest()
      for (const part of parts) this.#writePart(flight, part, bind)
    }
  }

  #accept(flight: Flight, part: number, messageId: string, complete: boolean, recorded: () => void): void {
    this.#recorder.accepted({
      logId: flight.recipient.id,
      day: flight.held.chunk.loggedOn,
      part,
      smscId: normaliseMessageId(messageId),
      complete,
      recorded,
    })
  }

  #recorded(flight: Flight): void {
    flight.held.open--
    if (flight.held.finished) this.#onChange()
  }

  /** Takes the marks back and queues the recipients again, for as long as it takes and the chunk is ours. */
  async #requeue(held: HeldChunk, recipients: Recipient[], afterMs: number): Promise<void> {
    const ids = recipients.map((recipient) => recipient.id)
    for (let tries = 0; !held.lost; tries++) {
      try {
        await retryLostRaces(() => unmarkSubmitting(this.#db, held.chunk, ids))
        held.retry(recipients, performance.now() + afterMs)
        break
      } catch (error) {
        this.#log.warn({ err: error, chunk: held.chunk.id }, 'could not take marks back, trying again')
        await new Promise((resolve) => setTimeout(resolve, Math.min(1_000, 50 * 2 ** tries)))
      }
    }
    held.open -= recipients.length
    this.#onChange()
  }
}
