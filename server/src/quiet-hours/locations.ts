import { areaCodes, canadianAreaCodes } from './area-codes.ts'
import { zipCodes, zipPrefixes } from './zip-codes.ts'

/** Evidence of a phone's location. */
export type LocationEvidence = { phone: number; zipCode?: string | null }

/** A state and time zone in which a phone may be; the state is `US` if the evidence supports no particular one. */
export type StateZone = { state: string; zone: string }

/** The time zones by their letters in the tables. Zones that have had identical clocks for years share the best-known name. */
const zones: Record<string, string> = {
  A: 'America/Puerto_Rico',
  C: 'America/Chicago',
  D: 'America/Adak',
  E: 'America/New_York',
  G: 'Pacific/Guam',
  H: 'Pacific/Honolulu',
  K: 'America/Anchorage',
  M: 'America/Denver',
  N: 'America/St_Johns',
  P: 'America/Los_Angeles',
  R: 'America/Regina',
  S: 'Pacific/Pago_Pago',
  X: 'America/Halifax',
  Z: 'America/Phoenix',
}

/** All time zones in which a phone may be. */
export const timeZones: string[] = Object.values(zones)

/** The location of toll-free numbers and unknown area codes: the four zones from coast to coast, without a particular state. */
const anywhere = 'US:C US:E US:M US:P'

const byAreaCode = new Map<number, string>()
for (const table of [areaCodes, canadianAreaCodes]) {
  for (const [location, codes] of Object.entries(table)) {
    for (const code of codes.split(' ')) byAreaCode.set(Number(code), location)
  }
}

const byZip = new Map<string, string>()
for (const [location, zips] of Object.entries(zipCodes)) {
  for (const zip of zips.split(' ')) byZip.set(zip, location)
}
for (const [location, ranges] of Object.entries(zipPrefixes)) {
  for (const range of ranges.split(' ')) {
    const [first = '', last = first] = range.split('-')
    for (let n = Number(first); n <= Number(last); n++) byZip.set(String(n).padStart(3, '0'), location)
  }
}

/**
 * Returns the location of a phone (all states and zones that the evidence supports) in the stored format, `FL:C FL:E`. A
 * known ZIP code takes precedence over the area code, which only shows where the number was issued.
 */
export function locationOf({ phone, zipCode }: LocationEvidence): string {
  const zip = zipCode ? /^\s*(\d{3})(\d\d)(?:-?\d{4})?\s*$/.exec(zipCode) : null
  const byZipCode = zip ? (byZip.get(`${zip[1]}${zip[2]}`) ?? byZip.get(zip[1] ?? '')) : undefined
  return byZipCode ?? byAreaCode.get(Math.floor(phone / 10_000_000)) ?? anywhere
}

/** All states in the tables, and `US`. */
export const knownStates: ReadonlySet<string> = new Set(
  [...byAreaCode.values(), ...byZip.values(), anywhere].flatMap((location) =>
    stateZonesOf(location).map(({ state }) => state),
  ),
)

/** Returns the states and zones of a location. */
export function stateZonesOf(location: string): StateZone[] {
  return location.split(' ').map((pair) => {
    const [state = '', letter = ''] = pair.split(':')
    const zone = zones[letter]
    if (zone === undefined) throw new Error(`unknown zone ${letter} in location ${location}`)
    return { state, zone }
  })
}
