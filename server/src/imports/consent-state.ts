import { readInstant } from '../lib/dates.ts'
import { words } from './column-names.ts'
import type { StatedColumn } from './columns.ts'

// Reads the columns of a row that state whether the number may be texted. A row whose statement is not understood is
// skipped: it must not become a subscriber by mistake.

/** The state of a number as a file states it: subscribed unless given, with the date of the opt-out or the cleaning. */
export type StatedConsent =
  | { state: 'unsubscribed' | 'cleaned'; at: string | null }
  | { skip: 'not_opted_in' | 'unknown_consent_state'; value: string }
  | undefined

type Word = 'in' | 'out' | 'cleaned' | 'none'

const vocabulary: Readonly<Record<Word, string>> = {
  in: `subscribed subscriber active optedin optin in confirmed yes y true t 1 on enabled granted given accepted allowed
    explicit express doubleoptin doubleoptedin singleoptin singleoptedin consented member valid verified x checked
    reachable mobile ok okay smssubscribed resubscribed joined`,
  out: `unsubscribed unsubscribe optedout optout out stop stopped revoked withdrawn blocked blacklisted blocklisted suppressed
    donotcontact donottext donotcall dnc spam complained complaint`,
  cleaned: `cleaned bounced hardbounced hardbounce invalid invalidnumber undeliverable landline disconnected deactivated dead
    failed unreachable badnumber wrongnumber`,
  none: `no n false f 0 off disabled denied declined rejected pending unconfirmed neversubscribed notsubscribed
    nonsubscribed nonsubscriber notoptedin notset none null nan unspecified unknown na inactive requested invited never waiting removed
    deleted archived transactional optinpending pendingoptin noconsent notconsented neveroptedin`,
}

const wordOf = new Map<string, Word>(
  (Object.entries(vocabulary) as [Word, string][]).flatMap(([word, list]) =>
    list
      .trim()
      .split(/\s+/)
      .map((name): [string, Word] => [name, word]),
  ),
)

// marks in a table, which have no letters
const checkMark = /^[\u2713\u2714\u2705\u2611\u221a\u{1f5f8}\u{1f5f9}]\ufe0f?$/u
const crossMark = /^[\u2717\u2718\u274c\u274e\u2715\u2716\u00d7]\ufe0f?$/u
const dash = /^[\s\p{Pd}\u2212._/]*$/u
// what programs write for a date that is missing; there were no programs of texts in these years
const missingDate =
  /^(?:(?:0000|0001|1753|1899|1900|1970-01-01)(?!\d)|(?:0?0|0?1|12)\/(?:0?0|0?1|30)\/(?:0+|0001|1899|1900|1970)\b)/

// "Unsubscribed (keyword)" and "Opted out by the carrier" are opt-outs, too
const optOutStart = /^(?:unsubscribed|opted?out|donot(?:call|contact|text))/

/** No cell states more at its end than at its beginning. */
const longestStatement = 500

/** Returns what a text states; a number may be one of a float column, such as 1.0. */
function wordIn(text: string): Word | undefined {
  const plain = words(text.slice(0, longestStatement).replace(/\.0+$/, ''))
  if (plain === '') return checkMark.test(text) ? 'in' : undefined
  return wordOf.get(plain) ?? (optOutStart.test(plain) ? 'out' : undefined)
}

export type ConsentCells = {
  status: string | undefined
  optedIn: string | undefined
  optedOut: string | undefined
  unsubscribedAt: string | undefined
  cleanedAt: string | undefined
  /** The latest consent, as stored. */
  consentedAt: string | null
}

/** Returns the state that a row states; undefined means subscribed. Of contradicting cells, the more careful one counts. */
export function readConsent(cells: ConsentCells): StatedConsent {
  const status = cells.status ? wordIn(cells.status) : undefined
  const optedOut = flagOf(cells.optedOut)
  const unsubscribedAt = readTime(cells.unsubscribedAt)
  const cleanedAt = readTime(cells.cleanedAt)
  const unsubscribed = { state: 'unsubscribed', at: unsubscribedAt ?? null } as const
  const cleaned = { state: 'cleaned', at: cleanedAt ?? null } as const
  if (status === 'out' || optedOut === true || isOptOutWord(cells.optedIn ?? '')) return unsubscribed
  // an earlier opt-out than the latest consent is history, if the status says so
  const rejoined = status === 'in' && !!cells.consentedAt && !!unsubscribedAt && cells.consentedAt > unsubscribedAt
  if (cells.unsubscribedAt && flagOf(cells.unsubscribedAt) !== false && !rejoined) return unsubscribed
  if (status === undefined && cells.status) return unknown(cells.status)
  if (optedOut === undefined) return unknown(cells.optedOut)
  if (status === 'cleaned') return cleaned
  if (cells.cleanedAt && status !== 'in' && flagOf(cells.cleanedAt) !== false) return cleaned
  if (status === 'none') return { skip: 'not_opted_in', value: cells.status ?? '' }
  return cells.optedIn === undefined ? undefined : readOptedIn(cells.optedIn)
}

/** Reads a cell of the column opted_in, which may also be the date of the consent. */
function readOptedIn(text: string): StatedConsent {
  if (dash.test(text) || crossMark.test(text) || missingDate.test(text)) return { skip: 'not_opted_in', value: text }
  const word = wordIn(text)
  if (word === 'in' || (word === undefined && readTime(text))) return undefined
  if (word === 'none') return { skip: 'not_opted_in', value: text }
  return word === 'cleaned' ? { state: 'cleaned', at: null } : unknown(text)
}

/**
 * Returns whether a value of a custom field is a statement about consent, in the column that has the name of the field. Other
 * values of the field, such as Gold in a field `status`, state nothing.
 */
export function statesConsent(text: string, { counts }: StatedColumn): boolean {
  if (counts === 'all') return true
  return counts === 'understood' ? wordIn(text) !== undefined : isOptOutWord(text)
}

/** Returns whether a text is a word for an opt-out. */
export function isOptOutWord(text: string): boolean {
  return wordIn(text) === 'out'
}

/** Returns whether the cell of a date of an opt-out or a cleaning has a date, but none that can be read. */
export function isUnreadableDate(text: string): boolean {
  return readTime(text) === undefined && singleFlag(text) === undefined
}

/** Joins the cells of several columns for opted_out, such as do_not_call and do_not_text. */
export function joinFlags(first: string, second: string): string {
  return `${first}\n${second}`
}

/** Returns whether one of the joined flags is set; a date sets it, too. Returns undefined if a cell is not understood. */
function flagOf(text: string | undefined): boolean | undefined {
  const flags = (text ?? '').split('\n').map(singleFlag)
  return flags.includes(true) || (flags.includes(undefined) ? undefined : false)
}

const affirmative = new Set('yes y true t 1 on x checked enabled confirmed'.split(' '))
const optedInAgain = new Set(
  'subscribed subscriber optedin optin in active resubscribed smssubscribed joined'.split(' '),
)

function singleFlag(cell: string): boolean | undefined {
  const text = cell.slice(0, longestStatement)
  const plain = words(text.replace(/\.0+$/, ''))
  const word = wordIn(text)
  if (dash.test(text) || word === 'none' || missingDate.test(text) || optedInAgain.has(plain)) return false
  if (word === 'out' || word === 'cleaned' || affirmative.has(plain) || checkMark.test(text)) return true
  return readTime(text) !== undefined || undefined
}

function readTime(text: string | undefined): string | undefined {
  return text ? readInstant(text) : undefined
}

function unknown(text: string | undefined): StatedConsent {
  return { skip: 'unknown_consent_state', value: text ?? '' }
}
