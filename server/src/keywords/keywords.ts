import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { insertKeywords, isKeywordTaken, listKeywordNames, releaseKeywords } from './keywords.queries.ts'
import { isObscene } from './obscene-words.ts'

const minLength = 2
const maxLength = 15

// Letters and digits; a dash or an underscore may join two words.
const shape = /^[\p{L}\p{N}]+(?:[-_][\p{L}\p{N}]+)*$/u

/** Words that mean something else to us, so that a list with one of them would never hear it. */
const reserved = new Set([
  ...['STOP', 'STOPALL', 'STOP-ALL', 'STOP_ALL', 'UNSUBSCRIBE', 'CANCEL', 'END', 'QUIT', 'REVOKE', 'OPTOUT', 'OPT-OUT'],
  ...['OPT_OUT', 'REMOVE', 'ARRET', 'ARRÊT', 'ALTO', 'ST0P', 'HELP', 'INFO', 'AIDE', 'YES', 'START', 'UNSTOP'],
])

/** The word as it is stored and compared. */
function normalize(given: string): string {
  return given.trim().normalize('NFC').toUpperCase()
}

/** Why a word cannot be a keyword on any short code, if it cannot. */
function faultOf(name: string): string | undefined {
  const { length } = [...name]
  if (length < minLength) return `Name is too short (minimum is ${minLength} characters)`
  if (length > maxLength) return `Name is too long (maximum is ${maxLength} characters)`
  if (!shape.test(name)) return 'Name may have letters and digits only, and a dash or an underscore between them'
  if (reserved.has(name)) return 'Name is reserved'
  return isObscene(name) ? 'Name is not allowed' : undefined
}

type Owner = { id: number; shortCodeId: number }

/**
 * Reserves keywords for a list: all of them, or none. A word belongs to one list per short code; the database's unique
 * index decides a race, so two callers can never both be told yes.
 */
export async function attachKeywords(tx: Db, list: Owner, given: string[]) {
  const { names, unusable } = readNames(given)
  refuseAny([...unusable, ...(await reserve(tx, list, names))])
}

/**
 * Makes these words the keywords of a list, all of them or none, and answers them as they are stored. Words that it had
 * and does not keep become free. The caller has the list locked.
 */
export async function replaceKeywords(tx: Db, list: Owner, given: string[], now: Date): Promise<string[]> {
  const { names, unusable } = readNames(given)
  const had = await listKeywordNames(tx, list.id)
  await releaseKeywords(tx, list.id, now, names)
  const added = names.filter((name) => !had.includes(name))
  refuseAny([...unusable, ...(await reserve(tx, list, added))])
  return names
}

/** Takes a list's keywords along to the short code it sends from now, all or none. The caller has the list locked. */
export async function moveKeywords(tx: Db, list: Owner, now: Date) {
  const names = await listKeywordNames(tx, list.id)
  await releaseKeywords(tx, list.id, now)
  refuseAny(await reserve(tx, list, names))
}

/** Why a list of this short code could not have the word right now; undefined when it could. */
export async function findKeywordFault(db: Db, shortCodeId: number, given: string): Promise<string | undefined> {
  const name = normalize(given)
  return faultOf(name) ?? ((await isKeywordTaken(db, shortCodeId, name)) ? 'Name is in use' : undefined)
}

function readNames(given: string[]) {
  const unusable = given.filter((name) => faultOf(normalize(name)) !== undefined)
  const usable = given.filter((name) => !unusable.includes(name))
  return { names: [...new Set(usable.map(normalize))], unusable }
}

/** Reserves what is free, and answers what is taken. */
async function reserve(tx: Db, list: Owner, names: string[]): Promise<string[]> {
  if (names.length === 0) return []
  const free = await insertKeywords(tx, list.shortCodeId, list.id, names)
  return names.filter((name) => !free.includes(name))
}

function refuseAny(names: string[]) {
  if (names.length > 0) throw errors.invalidKeywords(names)
}
