import { type DestinationStream, type Level, type Logger, pino } from 'pino'
import { loggableError } from '../lib/loggable-error.ts'
import { printable } from '../lib/printable.ts'
import { boundedLine } from './log-file.ts'

/**
 * Returns the logger of a process. It writes one JSON object of limited length per line to standard output, or to
 * `destination`, and errors (`err`) without the values of rows and requests that they quote.
 */
export function makeLogger(
  base: { role: string; pid?: number },
  level: Level | 'silent',
  destination: DestinationStream = pino.destination({ dest: 1, sync: true }),
): Logger {
  return pino(
    {
      level,
      base,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: (error: unknown) => loggableError(error) },
      // JSON does not escape all characters that control a terminal
      hooks: { streamWrite: (line) => printable(boundedLine(line)) },
    },
    destination,
  )
}
