// An SMSC id is a whole number: the millisecond of the simulator's start plus a count, so that ids are unique over restarts
// without stored state (512 ids per millisecond exceed any throughput). Internally an id is in lower-case hex: twelve digits
// until 2042, the longest string that V8 copies instead of referencing a slice of its parent.

const ID_EPOCH = Date.UTC(2025, 0, 1)
const IDS_PER_MS = 512
const LOW = 2 ** 24

export const idSpellings = ['hex', 'hex_upper', 'hex_padded', 'hex_mixed', 'decimal', 'decimal_padded'] as const
const hexForms = ['hex', 'hex_upper', 'hex_padded'] as const
export type IdSpelling = (typeof idSpellings)[number]

/** Returns the id before the first id of a simulator that started at this time. */
export function idBase(startedAt: number): number {
  return (startedAt - ID_EPOCH) * IDS_PER_MS
}

/** Spells an id in lower-case hex, in two halves: V8 converts small integers five times as fast. */
export function hexId(id: number): string {
  const low = (id % LOW).toString(16)
  return id < LOW ? low : Math.floor(id / LOW).toString(16) + low.padStart(6, '0')
}

/** Converts an id in hex to one of the spellings that SMSCs use; `hex_mixed` varies between the hex spellings by id. */
export function spellId(hex: string, form: IdSpelling): string {
  switch (form) {
    case 'hex':
      return hex
    case 'hex_upper':
      return hex.toUpperCase()
    case 'hex_padded':
      return hex.padStart(16, '0')
    case 'hex_mixed':
      return spellId(hex, hexForms[Number.parseInt(hex.slice(-2), 16) % hexForms.length] ?? 'hex')
    case 'decimal':
      return Number.parseInt(hex, 16).toString()
    case 'decimal_padded':
      return Number.parseInt(hex, 16).toString().padStart(20, '0')
  }
}

/** Parses an id in any hex or any decimal spelling, depending on the form; returns NaN for a malformed id. */
export function readId(text: string, form: IdSpelling): number {
  if (form.startsWith('decimal')) return /^[0-9]{1,20}$/.test(text) ? Number(text) : Number.NaN
  return /^[0-9a-f]{1,16}$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN
}
