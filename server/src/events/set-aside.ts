import type { Logger } from 'pino'
import { SlidingCounter } from '../lib/rate-limit.ts'
import type { UnnumberedEvent } from './sequence.ts'

/** A defect of one release may set aside any number of events. */
const maxLines = { calls: 20, windowMs: 60_000 }

/** Returns a function that logs an event when it is set aside for the first time, at most 20 of them in a minute. */
export function makeSetAsideReporter(log: Pick<Logger, 'error'>): (event: UnnumberedEvent) => void {
  const lines = new SlidingCounter(maxLines)
  return ({ id, failures, error }) => {
    if (failures > 1 || lines.take(performance.now()) > 0) return
    log.error({ event: id, err: error }, 'event set aside')
  }
}
