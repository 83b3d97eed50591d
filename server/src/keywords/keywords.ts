import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { insertKeywords, isKeywordTaken, listKeywordNames, releaseKeywords } from './keywords.queries.ts'
import { isObscene } from './obscene-words.ts'

const minLength = 2
const maxLength = 15

// Letters and digits; a dash or an underscore may join two words.
const shape = /^[\p{L}\p{N}]+(?:[-_][\p{L}\p{N}]+)*$/u

/** Words with a meaning of their own: a list would never receive them as its keyword. */
const reserved = new Set([
  ...['STOP', 'STOPALL', 'STOP-ALL', 'STOP_ALL', 'UNSUBSCRIBE', 'CANCEL', 'END', 'QUIT', 'REVOKE', 'OPTOUT', 'OPT-OUT'],
  ...['OPT_OUT', 'REMOVE', 'ARRET', 'ARRÊT', 'ALTO', 'ST0P', 'HELP', 'INFO', 'AIDE', 'YES', 'START', 'UNSTOP'],
])

/** Returns the word as it is stored and compared. */
function normalize(given: string): string {
  return given.trim().normalize('NFC').toUpperCase()
}

/** Returns the reason why a word cannot be a keyword on any short code; undefined if it can. */
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
 * Reserves keywords for a list: all of them, or none; throws an error that names the words that are taken or invalid. A
 * word belongs to one list per short code; a unique index decides races, so two callers never both succeed.
 */
export async function attachKeywords(tx: Db, list: Owner, given: string[], now: Date) {
  const { names, unusable } = readNames(given)
  rejectInvalid([...unusable, ...(await reserve(tx, list, names, now))])
}

/**
 * Replaces the keywords of a list, all of them or none, and returns them as they are stored; throws as `attachKeywords`
 * does. Former keywords that are not among them become free. The caller must have locked the list.
 */
export async function replaceKeywords(tx: Db, list: Owner, given: string[], now: Date): Promise<string[]> {
  const { names, unusable } = readNames(given)
  const current = await listKeywordNames(tx, list.id)
  await releaseKeywords(tx, list.id, now, names)
  const added = names.filter((name) => !current.includes(name))
  rejectInvalid([...unusable, ...(await reserve(tx, list, added, now))])
  return names
}

/**
 * Moves a list's keywords to its new short code; throws if one is taken there. The caller must have locked the list.
 */
export async function moveKeywords(tx: Db, list: Owner, now: Date) {
  const names = await listKeywordNames(tx, list.id)
  await releaseKeywords(tx, list.id, now)
  rejectInvalid(await reserve(tx, list, names, now))
}

/** Returns the reason why a list of this short code cannot have the word now; undefined if it can. */
export async function findKeywordFault(db: Db, shortCodeId: number, given: string): Promise<string | undefined> {
  const name = normalize(given)
  return faultOf(name) ?? ((await isKeywordTaken(db, shortCodeId, name)) ? 'Name is in use' : undefined)
}

function readNames(given: string[]) {
  const unusable = given.filter((name) => faultOf(normalize(name)) !== undefined)
  const usable = given.filter((name) => !unusable.includes(name))
  return { names: [...new Set(usable.map(normalize))], unusable }
}

/** Reserves the free words and returns the taken ones. */
async function reserve(tx: Db, list: Owner, names: string[], now: Date): Promise<string[]> {
  if (names.length === 0) return []
  const free = await insertKeywords(tx, list, names, now)
  return names.filter((name) => !free.includes(name))
}

function rejectInvalid(names: string[]) {
  if (names.length > 0) throw errors.invalidKeywords(names)
}
