// Opt-out, help and opt-in words, and keywords. The text must consist only of the word: "stop this bill" is a reply, and if it counted
// as an opt-out, a subscriber who wants the texts would no longer get them.

export type BareWord = 'opt_out' | 'help' | 'opt_in' | 'other'

/** The words required by carriers, by the FCC and in Canadian French, and STOP with a zero. */
const OPT_OUT = new Set([
  'STOP',
  'STOPALL',
  'STOP ALL',
  'UNSUBSCRIBE',
  'CANCEL',
  'END',
  'QUIT',
  'REVOKE',
  'OPTOUT',
  'OPT OUT',
  'REMOVE',
  'ARRET',
  'ARRÊT',
  'ALTO',
  'ST0P',
])

const HELP = new Set(['HELP', 'INFO', 'AIDE'])

/** The words by which a person opts in again after STOP, at carriers as well. */
const OPT_IN = new Set(['START', 'UNSTOP', 'YES'])

// In UTF-16: 15 characters of any script.
const LONGEST_KEYWORD = 30

const FIRST_TO_LAST_LETTER = /[\p{L}\p{N}].*[\p{L}\p{N}]/su
// A dash or underscore counts as a space: OPT-OUT, STOP_ALL.
const JOINT = /[\s\p{Pd}_]+/gu
const INVISIBLE = /\p{Cf}/gu
// What handsets add below a text: the delimiter of RFC 3676 and its variants, or a line such as "Sent from my phone".
const SIGNATURE = /[\r\n][^\S\r\n]*(?:--|__|sent (?:from|via)\b|get outlook\b|envoyé d|enviado de)/iu

/**
 * Returns the kind of word of which a text consists, in any case. Spaces, punctuation and emoji around the word and a handset's
 * signature below it are ignored, and white space inside it counts as one space.
 */
export function parseBareWord(content: string): BareWord {
  const word = normalize(content)
  if (word === undefined) return 'other'
  if (OPT_OUT.has(word)) return 'opt_out'
  if (HELP.has(word)) return 'help'
  return OPT_IN.has(word) ? 'opt_in' : 'other'
}

/**
 * Returns the form in which a text is compared with keywords: as for the other words, and without spaces and dashes inside
 * it. Returns undefined if the text is too short or too long for a keyword.
 */
export function keywordForm(content: string): string | undefined {
  const form = normalize(content)?.replaceAll(' ', '')
  return form !== undefined && form.length <= LONGEST_KEYWORD ? form : undefined
}

function normalize(content: string): string | undefined {
  const signature = content.search(SIGNATURE)
  const text = signature < 0 ? content : content.slice(0, signature)
  // NFC composes the last letter and its accent; NFKC replaces the full-width letters of East Asian keyboards.
  const core = FIRST_TO_LAST_LETTER.exec(text.normalize('NFC'))?.[0]
  return core?.replace(INVISIBLE, '').replace(JOINT, ' ').normalize('NFKC').toUpperCase()
}
