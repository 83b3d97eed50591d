import type { Line } from '../carriers/line.ts'
import type { LookUp } from '../carriers/look-up.ts'
import { errors } from '../errors.ts'

/** What is known of the number's line; refuses a number that no text can reach. */
export async function getReachableLine(lookUp: LookUp, phone: number): Promise<Line | undefined> {
  const line = await lookUp(phone)
  if (line?.kind === 'landline' || line?.kind === 'unreachable') {
    throw errors.badPhone('landline or unreachable carrier')
  }
  return line
}
