// What a bare word from a handset asks for. Only a text that is nothing but the word counts here: "stop this bill" is a
// reply, and an opt-out that fires on it would silence somebody who never asked for it.

export type BareWord = 'opt_out' | 'help' | 'other'

/** The words that carriers, the FCC's rule and Canadian French ask for, and the slip of a finger from O to 0. */
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
// A dash joins as a blank does: OPT-OUT, STOP-ALL.
const JOINT = /[\s\p{Pd}_]+/gu
const INVISIBLE = /\p{Cf}/gu

/**
 * Says whether the text is a bare opt-out or help word: any case, with whatever is neither letter nor digit (blanks,
 * punctuation, emoji) before and after it ignored, and white space inside it folded.
 */
export function parseBareWord(text: string): BareWord {
  const core = FIRST_TO_LAST_LETTER.exec(text)?.[0]
  if (core === undefined) return 'other'
  // NFKC joins a letter and its accent, and turns the wide letters of East Asian keyboards into plain ones.
  const word = core.replace(INVISIBLE, '').replace(JOINT, ' ').normalize('NFKC').toUpperCase()
  if (OPT_OUT.has(word)) return 'opt_out'
  return HELP.has(word) ? 'help' : 'other'
}
