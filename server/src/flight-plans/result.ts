import { carrierName } from '../carriers/carriers.ts'
import { lookAlike } from '../sms/look-alikes.ts'
import { assumedResponseMs, estimatePace, type SendingCapacity } from './pace.ts'
import type { Totals } from './totals.ts'

export type Priced = { carrier: number | null; price: number; cost: number }

/** What a flight plan says, as it is kept. Money is in dollars, rounded: nothing is reckoned with it any more. */
export type FlightPlanResult = {
  audience: number
  suppressed: Totals['suppressed']
  recipients: number
  parts: { sum: number; minimum: number; maximum: number; histogram: { parts: number; recipients: number }[] }
  cost: {
    total: number
    byCarrier: (Priced & { carrierName: string | null; recipients: number; parts: number })[]
  }
  duration: {
    minutes: number | null
    perSecond: number | null
    limitedBy: string
    assumptions: string[]
  }
  quietHours: { now: number; atSendAt: number; lastOpensAt: string | null }
  ucs2: {
    recipients: number
    savedParts: number
    savedCost: number
    characters: { character: string; inText: boolean; recipients: number; replacement: string }[]
  }
}

/** Characters that a plan names, those that force the most recipients' texts into UCS-2 first. */
const namedCharacters = 50

/** The parts whose price has to be known, by carrier, the most first. */
export function partsByCarrier(totals: Totals) {
  return [...totals.carriers]
    .map(([carrier, { parts }]) => ({ carrier, parts }))
    .sort((a, b) => b.parts - a.parts || (a.carrier ?? 0) - (b.carrier ?? 0))
}

/** Puts what was added up, the prices and the ways out together. */
export function resultOf(
  totals: Totals,
  content: string,
  ways: SendingCapacity,
  cost: { total: number; byCarrier: Priced[] },
): FlightPlanResult {
  const counts = [...totals.histogram].sort(([a], [b]) => a - b)
  const recipients = counts.reduce((sum, [, n]) => sum + n, 0)
  const sum = counts.reduce((all, [parts, n]) => all + parts * n, 0)
  const savedParts = totals.ucs2.parts - totals.ucs2.partsAsGsm7
  return {
    audience: totals.audience,
    suppressed: totals.suppressed,
    recipients,
    parts: {
      sum,
      minimum: counts[0]?.[0] ?? 0,
      maximum: counts.at(-1)?.[0] ?? 0,
      histogram: counts.map(([parts, n]) => ({ parts, recipients: n })),
    },
    cost: {
      total: cost.total,
      byCarrier: cost.byCarrier.map((priced) => ({
        ...priced,
        carrierName: priced.carrier === null ? null : (carrierName(priced.carrier) ?? null),
        recipients: totals.carriers.get(priced.carrier)?.recipients ?? 0,
        parts: totals.carriers.get(priced.carrier)?.parts ?? 0,
      })),
    },
    duration: durationOf(totals, ways, sum),
    quietHours: {
      now: totals.waiting.now,
      atSendAt: totals.waiting.atSendAt,
      lastOpensAt: totals.waiting.lastOpensAt?.toISOString() ?? null,
    },
    ucs2: {
      recipients: totals.ucs2.recipients,
      savedParts,
      // at what a part costs on average: which of a carrier's texts it would be is not kept apart
      savedCost: sum === 0 ? 0 : Math.round((cost.total * savedParts * 100) / sum) / 100,
      characters: [...totals.ucs2.characters]
        .sort(([, a], [, b]) => b - a)
        .slice(0, namedCharacters)
        .map(([character, n]) => ({
          character,
          inText: content.includes(character),
          recipients: n,
          replacement: lookAlike(character),
        })),
    },
  }
}

function durationOf(totals: Totals, ways: SendingCapacity, sum: number): FlightPlanResult['duration'] {
  const byCarrier = new Map([...totals.carriers].map(([carrier, { parts }]) => [carrier, parts]))
  const pace = estimatePace(ways, sum, byCarrier)
  if (!pace) return { minutes: null, perSecond: null, limitedBy: 'no_connection', assumptions: [] }
  const assumptions = ['nothing else is being sent', 'every bind of its connections is up']
  if (pace.limitedBy === 'window') assumptions.push(`the SMSC answers in ${assumedResponseMs} ms`)
  if (pace.limitedBy === 'software') assumptions.push('one gateway on a small machine')
  if (totals.waiting.atSendAt > 0) assumptions.push('nobody has to wait for a window to open')
  return {
    minutes: Math.ceil(pace.seconds / 6) / 10,
    perSecond: Math.round(pace.perSecond * 10) / 10,
    limitedBy: pace.limitedBy,
    assumptions,
  }
}
