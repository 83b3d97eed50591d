import type { AudienceRow } from '../broadcasts/personal-slice.queries.ts'
import { partsWithin } from '../messages/content/content.ts'
import { charactersOutsideGsm7, toGsm7 } from '../sms/look-alikes.ts'
import { countParts } from '../sms/parts.ts'

/** What is added up of an audience, however large it is: no more than fits a page. */
export type Totals = {
  audience: number
  suppressed: Record<'opted_out' | 'too_long' | 'blank' | 'no_window' | 'too_late', number>
  /** Recipients by the number of parts that each gets. */
  histogram: Map<number, number>
  carriers: Map<number | null, { recipients: number; parts: number }>
  ucs2: {
    recipients: number
    parts: number
    /** Parts of the same texts with look-alikes in the place of what GSM-7 lacks. */
    partsAsGsm7: number
    characters: Map<string, number>
  }
  /** Recipients whose window is closed at the moment of the plan, and when the message is to go out. */
  waiting: { now: number; atSendAt: number; lastOpensAt: Date | null }
}

/** Different characters that are told apart; a list of names in all scripts has thousands. */
const mostCharacters = 1_000

export function newTotals(): Totals {
  return {
    audience: 0,
    suppressed: { opted_out: 0, too_long: 0, blank: 0, no_window: 0, too_late: 0 },
    histogram: new Map(),
    carriers: new Map(),
    ucs2: { recipients: 0, parts: 0, partsAsGsm7: 0, characters: new Map() },
    waiting: { now: 0, atSendAt: 0, lastOpensAt: null },
  }
}

/** When a recipient may be texted; undefined where he may never be. */
export type OpensAt = (person: AudienceRow) => Date | undefined

export type PlannedMessage = {
  maxParts: number | null
  textFor(person: AudienceRow): string
  now: Date
  sendAt: Date | null
  deliverBy: Date | null
  /** Asked at this moment, and at the time when it is to go out; null where texts may go out at any time. */
  opensAt: { now: OpensAt; atSendAt: OpensAt } | null
}

type Judged = {
  fault: 'blank' | 'too_long' | undefined
  partCount: number
  lacking: Set<string>
  partsAsGsm7: number
}

/** Adds people of the audience to the totals, each as an expansion would write him. */
export class TotalsCounter {
  readonly #totals: Totals
  readonly #planned: PlannedMessage
  // most texts of a message without tags are the one before
  #last: { text: string; judged: Judged } | undefined

  constructor(totals: Totals, planned: PlannedMessage) {
    this.#totals = totals
    this.#planned = planned
  }

  add(person: AudienceRow): void {
    const { suppressed } = this.#totals
    this.#totals.audience++
    if (!person.subscribed) {
      suppressed.opted_out++
      return
    }
    const judged = this.#judge(this.#planned.textFor(person))
    if (judged.fault) {
      suppressed[judged.fault]++
      return
    }
    const fault = this.#addWindow(person)
    if (fault) {
      suppressed[fault]++
      return
    }
    this.#addParts(person, judged)
  }

  #judge(text: string): Judged {
    if (this.#last?.text === text) return this.#last.judged
    const judged = this.#judgeAnew(text)
    this.#last = { text, judged }
    return judged
  }

  #judgeAnew(text: string): Judged {
    if (text.trim() === '') return { fault: 'blank', partCount: 0, lacking: new Set(), partsAsGsm7: 0 }
    const partCount = partsWithin(text, this.#planned.maxParts)
    if (partCount === undefined) return { fault: 'too_long', partCount: 0, lacking: new Set(), partsAsGsm7: 0 }
    const lacking = charactersOutsideGsm7(text)
    const partsAsGsm7 = lacking.size === 0 ? partCount : countParts(toGsm7(text)).partCount
    return { fault: undefined, partCount, lacking, partsAsGsm7 }
  }

  #addWindow(person: AudienceRow): 'no_window' | 'too_late' | undefined {
    const { opensAt, now, sendAt, deliverBy } = this.#planned
    if (!opensAt) return undefined
    const { waiting } = this.#totals
    const first = opensAt.now(person)
    const then = sendAt ? opensAt.atSendAt(person) : first
    if (!then) return 'no_window'
    if (deliverBy && then >= deliverBy) return 'too_late'
    if (first && first > now) waiting.now++
    if (then > (sendAt ?? now)) waiting.atSendAt++
    if (waiting.lastOpensAt === null || then > waiting.lastOpensAt) waiting.lastOpensAt = then
    return undefined
  }

  #addParts(person: AudienceRow, { partCount, lacking, partsAsGsm7 }: Judged): void {
    const { histogram, carriers, ucs2 } = this.#totals
    histogram.set(partCount, (histogram.get(partCount) ?? 0) + 1)
    const carrier = carriers.get(person.carrier)
    if (carrier) {
      carrier.recipients++
      carrier.parts += partCount
    } else {
      carriers.set(person.carrier, { recipients: 1, parts: partCount })
    }
    if (lacking.size === 0) return
    ucs2.recipients++
    ucs2.parts += partCount
    ucs2.partsAsGsm7 += partsAsGsm7
    for (const character of lacking) {
      const known = ucs2.characters.get(character)
      if (known !== undefined || ucs2.characters.size < mostCharacters) ucs2.characters.set(character, (known ?? 0) + 1)
    }
  }
}
