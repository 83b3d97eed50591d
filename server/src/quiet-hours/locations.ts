import { areaCodes, canadianAreaCodes } from './area-codes.ts'
import { zipCodes, zipPrefixes } from './zip-codes.ts'

/** What is known of where a handset is. */
export type LocationEvidence = { phone: number; zipCode?: string | null }

/** One place where a handset may be: a state, `US` where the evidence supports none, and its zone. */
export type StateZone = { state: string; zone: string }

/** Letters of the zones, as the tables have them. Where clocks have agreed for years, the best known name stands for all. */
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

/** All zones that a handset may be in. */
export const timeZones: string[] = Object.values(zones)

/** Toll-free numbers, codes that are newer than our table: anywhere between the coasts, in no state in particular. */
const anywhere = 'US:C US:E US:M US:P'

const byAreaCode = new Map<number, string>()
for (const table of [areaCodes, canadianAreaCodes]) {
  for (const [place, codes] of Object.entries(table)) {
    for (const code of codes.split(' ')) byAreaCode.set(Number(code), place)
  }
}

const byZip = new Map<string, string>()
for (const [place, zips] of Object.entries(zipCodes)) {
  for (const zip of zips.split(' ')) byZip.set(zip, place)
}
for (const [place, ranges] of Object.entries(zipPrefixes)) {
  for (const range of ranges.split(' ')) {
    const [first = '', last = first] = range.split('-')
    for (let n = Number(first); n <= Number(last); n++) byZip.set(String(n).padStart(3, '0'), place)
  }
}

/**
 * Everywhere that the evidence allows a handset to be, as one word that can be kept (`FL:C FL:E`): by the zip code where
 * there is one, else by the area code, which says where the number was issued.
 */
export function locationOf({ phone, zipCode }: LocationEvidence): string {
  const zip = zipCode ? /^\s*(\d{3})(\d\d)(?:-?\d{4})?\s*$/.exec(zipCode) : null
  const byPost = zip ? (byZip.get(`${zip[1]}${zip[2]}`) ?? byZip.get(zip[1] ?? '')) : undefined
  return byPost ?? byAreaCode.get(Math.floor(phone / 10_000_000)) ?? anywhere
}

/** Every state that a handset may be in, as far as the tables know; `US` where the evidence names none. */
export const knownStates: ReadonlySet<string> = new Set(
  [...byAreaCode.values(), ...byZip.values(), anywhere].flatMap((place) =>
    stateZonesOf(place).map(({ state }) => state),
  ),
)

/** The spots of a place. */
export function stateZonesOf(place: string): StateZone[] {
  return place.split(' ').map((spot) => {
    const [state = '', letter = ''] = spot.split(':')
    const zone = zones[letter]
    if (zone === undefined) throw new Error(`no zone ${letter} in the place ${place}`)
    return { state, zone }
  })
}
