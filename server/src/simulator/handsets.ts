// The virtual handsets' memory: what a number received and what it wrote. A broadcast reaches hundreds of thousands of
// numbers that nobody will ever look at, so only numbers that were asked about or wrote are followed; a ring of the last
// messages tells the rest when a number is asked about for the first time.

import { type Concat, decodeShortMessage } from '../sms/parts.ts'
import { fromSmppAddress } from '../sms/phone-number.ts'

const HANDSETS_KEPT = 10_000
const TEXTS_KEPT = 50
const RECENT_KEPT = 8_192

/** One part as it went over the air, in the spelling of submit_sm. */
export type AirMessage = {
  destination_addr: string
  source_addr: string
  data_coding: number
  esm_class: number
  text: Buffer
  at: number
}

export type HandsetText = {
  /** Seen from the platform: MT was received by the handset, MO was written on it. */
  direction: 'MT' | 'MO'
  shortCode: string
  at: number
  /** The parts that have come, each at its place. */
  parts: string[]
  partCount: number
  reference: number | undefined
}

export class Handsets {
  /** In the order in which they were last asked about or wrote. */
  readonly #followed = new Map<number, HandsetText[]>()
  #recent: AirMessage[] = []
  #oldest = 0

  /** A part arrives at the handset. */
  receive(message: AirMessage): void {
    if (this.#recent.length < RECENT_KEPT) this.#recent.push(message)
    else {
      this.#recent[this.#oldest] = message
      this.#oldest = (this.#oldest + 1) % RECENT_KEPT
    }
    if (this.#followed.size === 0) return
    const phone = fromSmppAddress(message.destination_addr)
    const texts = phone === undefined ? undefined : this.#followed.get(phone)
    if (texts) keepReceived(texts, message)
  }

  /** A text is written on the handset. */
  write(phone: number, shortCode: string, content: string, partCount: number, at: number): void {
    const texts = this.#follow(phone)
    keep(texts, { direction: 'MO', shortCode, at, parts: [content], partCount, reference: undefined })
  }

  /** What the handset shows, oldest first; from now on it is followed. */
  textsOf(phone: number): readonly HandsetText[] {
    return this.#follow(phone)
  }

  clear(): void {
    this.#followed.clear()
    this.#recent = []
    this.#oldest = 0
  }

  #follow(phone: number): HandsetText[] {
    let texts = this.#followed.get(phone)
    if (texts) this.#followed.delete(phone)
    else texts = this.#recall(phone)
    this.#followed.set(phone, texts)
    if (this.#followed.size > HANDSETS_KEPT) {
      for (const longestUnused of this.#followed.keys()) {
        this.#followed.delete(longestUnused)
        break
      }
    }
    return texts
  }

  #recall(phone: number): HandsetText[] {
    const texts: HandsetText[] = []
    const digits = String(phone)
    for (let i = 0; i < this.#recent.length; i++) {
      const message = this.#recent[(this.#oldest + i) % this.#recent.length]
      if (!message?.destination_addr.endsWith(digits)) continue
      if (fromSmppAddress(message.destination_addr) === phone) keepReceived(texts, message)
    }
    return texts
  }
}

function keepReceived(texts: HandsetText[], message: AirMessage): void {
  const { text, concat } = decodeShortMessage(message.text, message.data_coding, message.esm_class)
  const begun = concat && texts.findLast((candidate) => lacks(candidate, message.source_addr, concat))
  if (begun) {
    begun.parts[concat.sequence - 1] = text
    return
  }
  const parts: string[] = []
  parts[(concat?.sequence ?? 1) - 1] = text
  keep(texts, {
    direction: 'MT',
    shortCode: message.source_addr,
    at: message.at,
    parts,
    partCount: concat?.total ?? 1,
    reference: concat?.reference,
  })
}

function lacks(text: HandsetText, shortCode: string, { reference, total, sequence }: Concat): boolean {
  return (
    text.direction === 'MT' &&
    text.shortCode === shortCode &&
    text.reference === reference &&
    text.partCount === total &&
    text.parts[sequence - 1] === undefined
  )
}

function keep(texts: HandsetText[], text: HandsetText): void {
  texts.push(text)
  if (texts.length > TEXTS_KEPT) texts.shift()
}
