// Opt-out and help words. The text must consist of the word alone: "stop this bill" is a reply, and treating it as an
// opt-out would silence a subscriber who wants the texts.

export type BareWord = 'opt_out' | 'help' | 'other'

/** The words required by carriers, by the FCC's rule and in Canadian French, and the typo with 0 instead of O. */
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

const FIRST_TO_LAST_LETTER = /[\p{L}\p{N}].*[\p{L}\p{N}]/su
// A dash counts as a blank: OPT-OUT, STOP-ALL.
const JOINT = /[\s\p{Pd}_]+/gu
const INVISIBLE = /\p{Cf}/gu

/**
 * Returns the kind of word that a text consists of, in any case. Characters other than letters and digits (blanks,
 * punctuation, emoji) around it are ignored, and white space inside it is folded.
 */
export function parseBareWord(content: string): BareWord {
  const core = FIRST_TO_LAST_LETTER.exec(content)?.[0]
  if (core === undefined) return 'other'
  // NFKC composes a letter and its accent, and replaces the full-width letters of East Asian keyboards.
  const word = core.replace(INVISIBLE, '').replace(JOINT, ' ').normalize('NFKC').toUpperCase()
  if (OPT_OUT.has(word)) return 'opt_out'
  return HELP.has(word) ? 'help' : 'other'
}
