import type { Connection } from '../connections/connection.ts'
import type { Outcome } from '../smpp/in-flight.ts'
import { statusName } from '../smpp/pdu/command-status.ts'
import type { Attempts } from './attempts.ts'
import type { Meter } from './meter.ts'

/** A part of a text that was handed to a connection. */
export type Written = { logId: number; day: string; part: number; connection: Connection; at: number }

/** Notes of every submit_sm what came of it: for the metrics all of them, for explanations those that came to nothing. */
export class Trace {
  readonly #meter: Meter
  readonly #attempts: Attempts

  constructor(meter: Meter, attempts: Attempts) {
    this.#meter = meter
    this.#attempts = attempts
  }

  /** Answers how long the answer took, in milliseconds; null when there was none. */
  ended(written: Written, outcome: Outcome): number | null {
    const { connection, at, ...rest } = written
    const isUnsent = outcome.kind === 'closed' && !outcome.sent
    if (!isUnsent) this.#meter.submitted(connection.name)
    const answerMs = outcome.kind === 'response' ? Math.max(0, Date.now() - at) : null
    if (outcome.kind === 'response') {
      this.#meter.answered(connection.name, outcome.pdu.command_status, answerMs ?? 0)
      if (outcome.pdu.command_status === 0) return answerMs
    } else if (!isUnsent) this.#meter.unanswered(connection.name, outcome.kind)
    const said = outcome.kind === 'response' ? statusName(outcome.pdu.command_status) : undefined
    this.#attempts.add({
      ...rest,
      connectionId: connection.id,
      writtenAt: isUnsent ? null : new Date(at),
      answerMs,
      outcome: said ?? (isUnsent ? 'not written' : 'no answer'),
    })
    return answerMs
  }
}
