import type { Connection } from '../../connections/connection.ts'
import type { Outcome } from '../../smpp/in-flight.ts'
import { statusName } from '../../smpp/pdu/command-status.ts'
import type { Meter } from '../meter.ts'
import type { Attempts } from './attempts.ts'

/** When a PDU was written, in milliseconds: by the wall clock, and by the monotonic clock. */
export type WrittenAt = { at: number; tick: number }

/** A submit_sm of one part of a text. */
export type SubmittedPart = WrittenAt & { logId: number; day: string; part: number; connection: Connection }

export const currentTimes = (): WrittenAt => ({ at: Date.now(), tick: performance.now() })

/** Returns the whole milliseconds since a PDU was written, by the monotonic clock. */
export const msSince = ({ tick }: WrittenAt): number => Math.round(performance.now() - tick)

/** Records the outcome of every submit_sm: all for the metrics, failed ones also for explanations of texts. */
export class Trace {
  readonly #meter: Meter
  readonly #attempts: Attempts

  constructor(meter: Meter, attempts: Attempts) {
    this.#meter = meter
    this.#attempts = attempts
  }

  /** Records one outcome and returns the time until the response in milliseconds; null without a response. */
  record(submit: SubmittedPart, outcome: Outcome): number | null {
    const { connection, at, tick, ...row } = submit
    const isUnsent = outcome.kind === 'closed' && !outcome.sent
    if (!isUnsent) this.#meter.submitted(connection.name)
    const responseMs = outcome.kind === 'response' ? msSince({ at, tick }) : null
    if (outcome.kind === 'response') {
      this.#meter.responded(connection.name, outcome.pdu.command_status, responseMs ?? 0)
      if (outcome.pdu.command_status === 0) return responseMs
    } else if (!isUnsent) this.#meter.failed(connection.name, outcome.kind)
    const status = outcome.kind === 'response' ? statusName(outcome.pdu.command_status) : undefined
    this.#attempts.add({
      ...row,
      connectionId: connection.id,
      writtenAt: isUnsent ? null : new Date(at),
      responseMs,
      outcome: status ?? (isUnsent ? 'not written' : 'no response'),
    })
    return responseMs
  }
}
