import { carrierName } from '../carriers/carriers.ts'
import { lookAlike } from '../sms/look-alikes.ts'
import { assumedResponseMs, estimatePace, type SendingCapacity } from './pace.ts'
import type { Totals } from './totals.ts'

export type Priced = { carrier: number | null; price: number; cost: number }

/** The stored result of a flight plan. Amounts are rounded dollars, because nothing is computed from them. */
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

/** Maximum number of characters in a result, which has the most frequent ones. */
const maxCharacters = 50

/** Returns the parts to price by carrier, the largest number first. */
export function partsByCarrier(totals: Totals) {
  return [...totals.carriers]
    .map(([carrier, { parts }]) => ({ carrier, parts }))
    .sort((a, b) => b.parts - a.parts || (a.carrier ?? 0) - (b.carrier ?? 0))
}

/** Combines totals, prices and sending capacity into a result. */
export function resultOf(
  totals: Totals,
  content: string,
  capacity: SendingCapacity,
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
    duration: durationOf(totals, capacity, sum),
    quietHours: {
      now: totals.waiting.now,
      atSendAt: totals.waiting.atSendAt,
      lastOpensAt: totals.waiting.lastOpensAt?.toISOString() ?? null,
    },
    ucs2: {
      recipients: totals.ucs2.recipients,
      savedParts,
      // at the average cost of a part, because the saved parts are not counted by carrier
      savedCost: sum === 0 ? 0 : Math.round((cost.total * savedParts * 100) / sum) / 100,
      characters: [...totals.ucs2.characters]
        .sort(([, a], [, b]) => b - a)
        .slice(0, maxCharacters)
        .map(([character, n]) => ({
          character,
          inText: content.includes(character),
          recipients: n,
          replacement: lookAlike(character),
        })),
    },
  }
}

function durationOf(totals: Totals, capacity: SendingCapacity, sum: number): FlightPlanResult['duration'] {
  const byCarrier = new Map([...totals.carriers].map(([carrier, { parts }]) => [carrier, parts]))
  const pace = estimatePace(capacity, sum, byCarrier)
  if (!pace) return { minutes: null, perSecond: null, limitedBy: 'no_connection', assumptions: [] }
  const assumptions = ['nothing else is being sent', 'all binds of the connections are bound']
  if (pace.limitedBy === 'window') assumptions.push(`the SMSC responds within ${assumedResponseMs} ms`)
  if (pace.limitedBy === 'software') assumptions.push('one gateway on a small machine')
  if (totals.waiting.atSendAt > 0) assumptions.push('no recipient waits for a sending window')
  return {
    minutes: Math.ceil(pace.seconds / 6) / 10,
    perSecond: Math.round(pace.perSecond * 10) / 10,
    limitedBy: pace.limitedBy,
    assumptions,
  }
}
