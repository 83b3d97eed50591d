// Opt-out and help words. The text must consist only of the word: "stop this bill" is a reply, and if it counted as an opt-out, a
// subscriber who wants the texts would no longer get them.

export type BareWord = 'opt_out' | 'help' | 'other'

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

const FIRST_TO_LAST_LETTER = /[\p{L}\p{N}].*[\p{L}\p{N}]/su
// A dash or underscore counts as a space: OPT-OUT, STOP_ALL.
const JOINT = /[\s\p{Pd}_]+/gu
const INVISIBLE = /\p{Cf}/gu

/**
 * Returns the kind of word of which a text consists, in any case. Spaces, punctuation and emoji around the word are ignored, and
 * white space inside it counts as one space.
 */
export function parseBareWord(content: string): BareWord {
  const core = FIRST_TO_LAST_LETTER.exec(content)?.[0]
  if (core === undefined) return 'other'
  // NFKC composes a letter and its accent, and replaces the full-width letters of East Asian keyboards.
  const word = core.replace(INVISIBLE, '').replace(JOINT, ' ').normalize('NFKC').toUpperCase()
  if (OPT_OUT.has(word)) return 'opt_out'
  return HELP.has(word) ? 'help' : 'other'
}
