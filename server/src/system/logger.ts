import { type DestinationStream, type Level, type Logger, pino } from 'pino'
import { loggableError } from '../lib/loggable-error.ts'

/**
 * Returns the logger of a process. It writes one JSON object per line to standard output, or to `destination`, and errors
 * (`err`) without the values of rows and requests that they quote.
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
    },
    destination,
  )
}
