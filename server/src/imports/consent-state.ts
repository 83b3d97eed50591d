import { readInstant } from '../lib/dates.ts'
import { words } from './column-names.ts'

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
    nonsubscribed nonsubscriber notoptedin notset none null unknown na inactive requested invited never waiting removed
    deleted archived transactional optinpending pendingoptin`,
}

const wordOf = new Map<string, Word>(
  (Object.entries(vocabulary) as [Word, string][]).flatMap(([word, list]) =>
    list
      .trim()
      .split(/\s+/)
      .map((name): [string, Word] => [name, word]),
  ),
)

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
  const status = cells.status ? wordOf.get(words(cells.status)) : undefined
  const optedOut = flagOf(cells.optedOut)
  const unsubscribedAt = readTime(cells.unsubscribedAt)
  const cleanedAt = readTime(cells.cleanedAt)
  const unsubscribed = { state: 'unsubscribed', at: unsubscribedAt ?? null } as const
  const cleaned = { state: 'cleaned', at: cleanedAt ?? null } as const
  if (status === 'out' || optedOut === true) return unsubscribed
  if (status === undefined && cells.status) return unknown(cells.status)
  if (optedOut === undefined) return unknown(cells.optedOut)
  // an earlier opt-out than the latest consent is history, if the status says so
  const rejoined = status === 'in' && !!cells.consentedAt && !!unsubscribedAt && cells.consentedAt > unsubscribedAt
  if (cells.unsubscribedAt && flagOf(cells.unsubscribedAt) !== false && !rejoined) return unsubscribed
  if (status === 'cleaned') return cleaned
  if (cells.cleanedAt && status !== 'in' && flagOf(cells.cleanedAt) !== false) return cleaned
  if (status === 'none') return { skip: 'not_opted_in', value: cells.status ?? '' }
  return cells.optedIn === undefined ? undefined : readOptedIn(cells.optedIn)
}

/** Reads a cell of the column opted_in, which may also be the date of the consent. */
function readOptedIn(text: string): StatedConsent {
  if (text === '') return { skip: 'not_opted_in', value: '' }
  const word = wordOf.get(words(text))
  if (word === 'in' || (word === undefined && readTime(text))) return undefined
  if (word === 'none') return { skip: 'not_opted_in', value: text }
  if (word === 'out') return { state: 'unsubscribed', at: null }
  return word === 'cleaned' ? { state: 'cleaned', at: null } : unknown(text)
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

function singleFlag(text: string): boolean | undefined {
  const plain = words(text)
  const word = wordOf.get(plain)
  if (plain === '' || word === 'none' || /^0000/.test(plain)) return false
  return word !== undefined || readTime(text) !== undefined || undefined
}

function readTime(text: string | undefined): string | undefined {
  return text ? readInstant(text) : undefined
}

function unknown(text: string | undefined): StatedConsent {
  return { skip: 'unknown_consent_state', value: text ?? '' }
}
