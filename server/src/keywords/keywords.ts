import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { insertKeywords } from './keywords.queries.ts'

// Two to fifteen letters and digits; a dash or an underscore may join two words.
const shape = /^[\p{L}\p{N}_-]{2,15}$/u

/** Words that mean something else to us, so that a list with one of them would never hear it. */
const reserved = new Set([
  ...['STOP', 'STOPALL', 'STOP-ALL', 'STOP_ALL', 'UNSUBSCRIBE', 'CANCEL', 'END', 'QUIT', 'REVOKE', 'OPTOUT', 'OPT-OUT'],
  ...['OPT_OUT', 'REMOVE', 'ARRET', 'ARRÊT', 'ALTO', 'ST0P', 'HELP', 'INFO', 'AIDE', 'YES', 'START', 'UNSTOP'],
])

/** The word as it is stored and compared, or undefined when it cannot be a keyword. */
export function readKeyword(given: string): string | undefined {
  const name = given.trim().normalize('NFC').toUpperCase()
  return shape.test(name) && !reserved.has(name) ? name : undefined
}

/**
 * Reserves keywords for a list: all of them, or none. A word belongs to one list per short code; the database's unique
 * index decides a race, so two callers can never both be told yes.
 */
export async function attachKeywords(tx: Db, list: { id: number; shortCodeId: number }, given: string[]) {
  const unusable = given.filter((name) => readKeyword(name) === undefined)
  if (unusable.length > 0) throw errors.invalidKeywords(unusable)
  const names = [...new Set(given.map((name) => readKeyword(name) ?? name))]
  if (names.length === 0) return
  const free = await insertKeywords(tx, list.shortCodeId, list.id, names)
  const taken = names.filter((name) => !free.includes(name))
  if (taken.length > 0) throw errors.invalidKeywords(taken)
}
