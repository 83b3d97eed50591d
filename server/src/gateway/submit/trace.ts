import type { Connection } from '../../connections/connection.ts'
import type { Outcome } from '../../smpp/in-flight.ts'
import { statusName } from '../../smpp/pdu/command-status.ts'
import type { Meter } from '../meter.ts'
import type { Attempts } from './attempts.ts'

/** When a PDU was written: by the wall clock, and by a clock that is never set. */
export type WrittenAt = { at: number; tick: number }

/** A part of a text that was handed to a connection. */
export type Written = WrittenAt & { logId: number; day: string; part: number; connection: Connection }

export const rightNow = (): WrittenAt => ({ at: Date.now(), tick: performance.now() })

/** Whole milliseconds since then, independent of the wall clock. */
export const msSince = ({ tick }: WrittenAt): number => Math.round(performance.now() - tick)

/** Notes the outcome of every submit_sm: all of them for the metrics, failed ones for the explanation of a text. */
export class Trace {
  readonly #meter: Meter
  readonly #attempts: Attempts

  constructor(meter: Meter, attempts: Attempts) {
    this.#meter = meter
    this.#attempts = attempts
  }

  /** Returns the time until the response in milliseconds; null without a response. */
  ended(written: Written, outcome: Outcome): number | null {
    const { connection, at, tick, ...rest } = written
    const isUnsent = outcome.kind === 'closed' && !outcome.sent
    if (!isUnsent) this.#meter.submitted(connection.name)
    const responseMs = outcome.kind === 'response' ? msSince({ at, tick }) : null
    if (outcome.kind === 'response') {
      this.#meter.responded(connection.name, outcome.pdu.command_status, responseMs ?? 0)
      if (outcome.pdu.command_status === 0) return responseMs
    } else if (!isUnsent) this.#meter.failed(connection.name, outcome.kind)
    const said = outcome.kind === 'response' ? statusName(outcome.pdu.command_status) : undefined
    this.#attempts.add({
      ...rest,
      connectionId: connection.id,
      writtenAt: isUnsent ? null : new Date(at),
      responseMs,
      outcome: said ?? (isUnsent ? 'not written' : 'no response'),
    })
    return responseMs
  }
}
