// Replacements for characters outside GSM-7 that do not change the meaning. One such character makes the whole text UCS-2,
// with 70 characters per part instead of 160.

import { fitsGsm7, septetsOf } from './gsm7.ts'

const table: [characters: string, replacement: string][] = [
  ['‘’‚‛′‵`´ʼ＇', "'"],
  ['“”„‟″«»＂', '"'],
  ['‐‑‒–—―−', '-'],
  ['…', '...'],
  ['•‣◦●▪', '*'],
  ['×', 'x'],
  ['÷', '/'],
  ['™', '(TM)'],
  ['®', '(R)'],
  ['©', '(C)'],
  ['←', '<-'],
  ['→', '->'],
  ['Łł', 'L'],
  ['Đđ', 'D'],
  ['Þþ', 'Th'],
  ['ıİ', 'i'],
  // tab, typographic spaces, line separators
  ['\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u2028\u2029', ' '],
  // zero-width characters and variation selectors
  ['\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff', ''],
]

const replacements = new Map(table.flatMap(([characters, text]) => [...characters].map((one) => [one, text] as const)))
for (const [small, capital] of ['łL', 'đD', 'þT'].map((pair) => [...pair] as [string, string])) {
  replacements.set(small, (replacements.get(small) ?? capital).toLowerCase())
}

const marks = /\p{M}+/gu

/** Returns a character's replacement in GSM-7: its look-alike, its letter without the accent, or '' if it has neither. */
export function lookAlike(character: string): string {
  if (fitsGsm7(character)) return character
  const known = replacements.get(character)
  if (known !== undefined) return known
  const plain = character.normalize('NFKD').replace(marks, '')
  return plain !== '' && fitsGsm7(plain) ? plain : ''
}

/** Returns the distinct characters of a text that are not in GSM-7. */
export function charactersOutsideGsm7(text: string): Set<string> {
  const missing = new Set<string>()
  if (fitsGsm7(text)) return missing
  for (const character of text) {
    if (character.length > 1 || septetsOf(character.charCodeAt(0)) === 0) missing.add(character)
  }
  return missing
}

/** Replaces the characters that are not in GSM-7 with their look-alikes, and removes those without one. */
export function toGsm7(text: string): string {
  if (fitsGsm7(text)) return text
  let plain = ''
  for (const character of text) plain += lookAlike(character)
  return plain
}
