// The virtual handsets' memory: what a number received and what it wrote. A broadcast reaches hundreds of thousands of
// numbers that nobody will ever look at, so only numbers that were asked about or wrote are followed; a ring of the last
// messages tells the rest when a number is asked about for the first time.

import type { Tlvs } from '../smpp/pdu/tlvs.ts'
import { type Concat, decodeShortMessage } from '../sms/parts.ts'
import { fromSmppAddress } from '../sms/phone-number.ts'

const HANDSETS_KEPT = 10_000
const TEXTS_KEPT = 50
const RECENT_KEPT = 8_192

/** One part as it went over the air, in the spelling of submit_sm. */
export type AirMessage = {
  smscId: string
  destination_addr: string
  source_addr: string
  data_coding: number
  esm_class: number
  text: Buffer
  at: number
  /** What the sar TLVs say, where there is no user data header. */
  sar: Concat | undefined
}

/** What the sar TLVs say of a part (§5.3.2.22 to 24), or undefined. */
export function sarOf(tlvs: Tlvs | undefined): Concat | undefined {
  const { sar_msg_ref_num: reference, sar_total_segments: total, sar_segment_seqnum: sequence } = tlvs ?? {}
  if (reference === undefined || !total || !sequence || sequence > total) return undefined
  return { reference, total, sequence }
}

export type HandsetText = {
  /** Seen from the platform: MT was received by the handset, MO was written on it. */
  direction: 'MT' | 'MO'
  shortCode: string
  at: number
  /** The parts that have come, each at its place, and the SMSC ids of those received. */
  parts: string[]
  ids: string[]
  partCount: number
  reference: number | undefined
}

export class Handsets {
  /** In the order in which they were last asked about or wrote. */
  readonly #followed = new Map<number, HandsetText[]>()
  #recent: (AirMessage | undefined)[] = []
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

  /** Takes back a part that was received. */
  withdraw(smscId: string): void {
    const at = this.#recent.findIndex((message) => message?.smscId === smscId)
    if (at >= 0) this.#recent[at] = undefined
    for (const texts of this.#followed.values()) {
      const text = texts.find(({ ids }) => ids.includes(smscId))
      if (!text) continue
      const place = text.ids.indexOf(smscId)
      delete text.parts[place]
      delete text.ids[place]
      if (Object.keys(text.parts).length === 0) texts.splice(texts.indexOf(text), 1)
      return
    }
  }

  /** Puts another text in the place of a part that was received, in the same coding; the part, if it is remembered. */
  replace(smscId: string, text: Buffer): AirMessage | undefined {
    const message = this.#recent.find((recent) => recent?.smscId === smscId)
    if (!message) return undefined
    message.text = text
    const phone = fromSmppAddress(message.destination_addr)
    const shown = phone === undefined ? undefined : this.#followed.get(phone)?.find(({ ids }) => ids.includes(smscId))
    if (shown) {
      shown.parts[shown.ids.indexOf(smscId)] = decodeShortMessage(text, message.data_coding, message.esm_class).text
    }
    return message
  }

  /** A text is written on the handset. */
  write(phone: number, shortCode: string, content: string, partCount: number, at: number): void {
    const texts = this.#follow(phone)
    keep(texts, { direction: 'MO', shortCode, at, parts: [content], ids: [], partCount, reference: undefined })
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
  const { text, concat = message.sar } = decodeShortMessage(message.text, message.data_coding, message.esm_class)
  const place = (concat?.sequence ?? 1) - 1
  const begun = concat && texts.findLast((candidate) => lacks(candidate, message.source_addr, concat))
  if (begun) {
    begun.parts[place] = text
    begun.ids[place] = message.smscId
    return
  }
  const parts: string[] = []
  parts[place] = text
  const ids: string[] = []
  ids[place] = message.smscId
  keep(texts, {
    direction: 'MT',
    shortCode: message.source_addr,
    at: message.at,
    parts,
    ids,
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
