import type { AudienceRow } from '../broadcasts/personal-slice.queries.ts'
import { partsWithin } from '../messages/content/text-length.ts'
import { charactersOutsideGsm7, toGsm7 } from '../sms/look-alikes.ts'
import { countParts } from '../sms/parts.ts'

/** The totals of an audience, whose size does not depend on the size of the audience. */
export type Totals = {
  audience: number
  suppressed: Record<'opted_out' | 'stopped' | 'too_long' | 'blank' | 'no_window' | 'too_late', number>
  /** Number of recipients by part count. */
  histogram: Map<number, number>
  carriers: Map<number | null, { recipients: number; parts: number }>
  ucs2: {
    recipients: number
    parts: number
    /** Parts of the same texts if look-alikes replaced the characters that GSM-7 lacks. */
    partsAsGsm7: number
    characters: Map<string, number>
  }
  /** Number of recipients whose window is closed at the time of the plan, and at the send time of the message. */
  waiting: { now: number; atSendAt: number; lastOpensAt: Date | null }
}

/** Maximum number of distinct characters that are counted; a list with names in all scripts has thousands. */
const maxCharacters = 1_000

export function newTotals(): Totals {
  return {
    audience: 0,
    suppressed: { opted_out: 0, stopped: 0, too_long: 0, blank: 0, no_window: 0, too_late: 0 },
    histogram: new Map(),
    carriers: new Map(),
    ucs2: { recipients: 0, parts: 0, partsAsGsm7: 0, characters: new Map() },
    waiting: { now: 0, atSendAt: 0, lastOpensAt: null },
  }
}

/** Returns the time from which a recipient may be texted; undefined if never. */
export type OpensAt = (person: AudienceRow) => Date | undefined

export type PlannedMessage = {
  maxParts: number | null
  textFor(person: AudienceRow): string
  now: Date
  sendAt: Date | null
  deliverBy: Date | null
  /** Opening times from now and from the send time; null if texts may be sent at any time. */
  opensAt: { now: OpensAt; atSendAt: OpensAt } | null
}

type CheckedText = {
  reason: 'blank' | 'too_long' | undefined
  partCount: number
  lacking: Set<string>
  partsAsGsm7: number
}

/** Adds members of the audience to the totals, with the same rules as an expansion and the mark. */
export class TotalsCounter {
  readonly #totals: Totals
  readonly #planned: PlannedMessage
  // the result for the last text, because consecutive texts without merge tags are identical
  #last: { text: string; checked: CheckedText } | undefined

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
    if (person.stopped) {
      suppressed.stopped++
      return
    }
    const checked = this.#check(this.#planned.textFor(person))
    if (checked.reason) {
      suppressed[checked.reason]++
      return
    }
    const reason = this.#addWindow(person)
    if (reason) {
      suppressed[reason]++
      return
    }
    this.#addParts(person, checked)
  }

  #check(text: string): CheckedText {
    if (this.#last?.text === text) return this.#last.checked
    const checked = this.#checkText(text)
    this.#last = { text, checked }
    return checked
  }

  #checkText(text: string): CheckedText {
    if (text.trim() === '') return { reason: 'blank', partCount: 0, lacking: new Set(), partsAsGsm7: 0 }
    const partCount = partsWithin(text, this.#planned.maxParts)
    if (partCount === undefined) return { reason: 'too_long', partCount: 0, lacking: new Set(), partsAsGsm7: 0 }
    const lacking = charactersOutsideGsm7(text)
    const partsAsGsm7 = lacking.size === 0 ? partCount : countParts(toGsm7(text)).partCount
    return { reason: undefined, partCount, lacking, partsAsGsm7 }
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

  #addParts(person: AudienceRow, { partCount, lacking, partsAsGsm7 }: CheckedText): void {
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
      if (known !== undefined || ucs2.characters.size < maxCharacters) ucs2.characters.set(character, (known ?? 0) + 1)
    }
  }
}
