/** Durations by name, in milliseconds. */
export type Durations = Readonly<Record<string, number | readonly number[]>>

/** The sum of some durations must be below a limit, or at most that limit. */
export type DurationRule = { sum: string[]; limit: string; isStrict: boolean; reason: string }

/** Returns the rule that the durations named in `sum`, joined with +, are shorter than the one named `limit`. */
export const below = (sum: string, limit: string, reason: string): DurationRule => ({
  sum: sum.split(' + '),
  limit,
  isStrict: true,
  reason,
})

/** As `below`, but the sum may be equal to the limit. */
export const atMost = (sum: string, limit: string, reason: string): DurationRule => ({
  ...below(sum, limit, reason),
  isStrict: false,
})

/** Returns a sentence for each rule that the durations break; a name without a value breaks its rule. */
export function listBrokenRules(durations: Durations, rules: DurationRule[]): string[] {
  const values: Record<string, number> = {}
  for (const [name, value] of Object.entries(durations)) {
    if (typeof value === 'number') values[name] = value
    else for (const [n, each] of value.entries()) values[`${name}[${n}]`] = each
  }
  const msOf = (name: string) => values[name] ?? Number.NaN
  const format = (name: string) => `${name} (${msOf(name)} ms)`
  return rules
    .filter(({ sum, limit, isStrict }) => {
      const total = sum.reduce((ms, name) => ms + msOf(name), 0)
      // written so that a name without a value breaks its rule
      return !(isStrict ? total < msOf(limit) : total <= msOf(limit))
    })
    .map(({ sum, limit, isStrict, reason }) => {
      return `${sum.map(format).join(' + ')} must be ${isStrict ? 'below' : 'at most'} ${format(limit)}: ${reason}`
    })
}
