import { errors } from '../errors.ts'
import type { Runtime } from '../runtime.ts'

/**
 * Refuses a number that no text can reach. The sandbox knows one by its last digits, 555-0100; nobody is asked
 * about the others yet.
 */
export function refuseUnreachable({ config }: Pick<Runtime, 'config'>, phone: number) {
  if (config.mode === 'sandbox' && phone % 10_000_000 === 5_550_100) {
    throw errors.badPhone('landline or unreachable carrier')
  }
}
