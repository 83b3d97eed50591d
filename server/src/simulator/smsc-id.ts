// An SMSC id is a whole number: the millisecond at which the simulator started and then a count, so that ids differ over
// restarts without anything being remembered (512 a millisecond is more than it could ever take). Everywhere but in
// front of a client it is spelled in lower-case hex: twelve digits until 2042, the longest that V8 never keeps as a piece
// of another string.

const ID_EPOCH = Date.UTC(2025, 0, 1)
const IDS_PER_MS = 512
const LOW = 2 ** 24

export const idSpellings = ['hex', 'hex_upper', 'hex_padded', 'hex_mixed', 'decimal', 'decimal_padded'] as const
const hexForms = ['hex', 'hex_upper', 'hex_padded'] as const
export type IdSpelling = (typeof idSpellings)[number]

/** The id before the first one that a simulator started at this time may give. */
export function idBase(startedAt: number): number {
  return (startedAt - ID_EPOCH) * IDS_PER_MS
}

/** Lower-case hex, in two halves: each is a small integer to the engine, which spells those five times as fast. */
export function hexId(id: number): string {
  const low = (id % LOW).toString(16)
  return id < LOW ? low : Math.floor(id / LOW).toString(16) + low.padStart(6, '0')
}

/** An id in hex, as SMSCs spell it, each in its own way; `hex_mixed` spells each id in one of the ways of hex. */
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

/** The id that is spelled so, in whatever way of hex or decimal the form is; NaN for none. */
export function readId(text: string, form: IdSpelling): number {
  if (form.startsWith('decimal')) return /^[0-9]{1,20}$/.test(text) ? Number(text) : Number.NaN
  return /^[0-9a-f]{1,16}$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN
}
