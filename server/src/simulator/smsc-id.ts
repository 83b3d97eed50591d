// An SMSC id is a whole number below 2^53: the millisecond at which the simulator started and then a count, so that ids
// differ over restarts without anything being remembered (8,192 ids a millisecond is more than it could ever take).

const ID_EPOCH = Date.UTC(2025, 0, 1)
const IDS_PER_MS = 8192

export const idForms = ['hex', 'hex_upper', 'hex_padded', 'decimal'] as const
export type IdForm = (typeof idForms)[number]

/** The id before the first one that a simulator started at this time may give. */
export function idBase(startedAt: number): number {
  return (startedAt - ID_EPOCH) * IDS_PER_MS
}

/** The id as SMSCs spell it, each in its own way. */
export function spellId(id: number, form: IdForm): string {
  if (form === 'decimal') return id.toString()
  const hex = id.toString(16)
  if (form === 'hex') return hex
  return form === 'hex_upper' ? hex.toUpperCase() : hex.padStart(16, '0')
}
