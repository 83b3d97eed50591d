// Stores the texts that virtual handsets received and sent. A broadcast reaches hundreds of thousands of numbers that no
// test reads, so texts are stored only for followed numbers (numbers that were read or that sent a text). A ring of the last
// messages provides the earlier texts of a number when it is read for the first time.

import type { Tlvs } from '../smpp/pdu/tlvs.ts'
import { type Concat, decodeShortMessage } from '../sms/parts.ts'
import { fromSmppAddress } from '../sms/phone-number.ts'

const MAX_HANDSETS = 10_000
const MAX_TEXTS = 50
const MAX_RECENT = 8_192

/** A part that a handset received, with the field names of submit_sm. */
export type ReceivedPart = {
  smscId: string
  destination_addr: string
  source_addr: string
  data_coding: number
  esm_class: number
  text: Buffer
  at: number
  /** Concatenation by the sar TLVs, used if there is no user data header. */
  sar: Concat | undefined
}

/** Reads the sar TLVs of a part (§5.3.2.22 to 24); returns undefined if they are missing or invalid. */
export function sarOf(tlvs: Tlvs | undefined): Concat | undefined {
  const { sar_msg_ref_num: reference, sar_total_segments: total, sar_segment_seqnum: sequence } = tlvs ?? {}
  if (reference === undefined || !total || !sequence || sequence > total) return undefined
  return { reference, total, sequence }
}

export type HandsetText = {
  /** The platform's view: the handset received an MT and sent an MO. */
  direction: 'MT' | 'MO'
  shortCode: string
  at: number
  /** The parts that have arrived, at their indexes, and the SMSC ids of received parts. */
  parts: string[]
  ids: string[]
  partCount: number
  reference: number | undefined
}

export class Handsets {
  /** Texts by phone number, in the order of last use. */
  readonly #followed = new Map<number, HandsetText[]>()
  #recent: (ReceivedPart | undefined)[] = []
  #oldest = 0

  /** Records a part that the handset receives. */
  recordReceived(message: ReceivedPart): void {
    if (this.#recent.length < MAX_RECENT) this.#recent.push(message)
    else {
      this.#recent[this.#oldest] = message
      this.#oldest = (this.#oldest + 1) % MAX_RECENT
    }
    if (this.#followed.size === 0) return
    const phone = fromSmppAddress(message.destination_addr)
    const texts = phone === undefined ? undefined : this.#followed.get(phone)
    if (texts) addReceived(texts, message)
  }

  /** Removes a received part. */
  withdraw(smscId: string): void {
    const at = this.#recent.findIndex((message) => message?.smscId === smscId)
    if (at >= 0) this.#recent[at] = undefined
    for (const texts of this.#followed.values()) {
      const text = texts.find(({ ids }) => ids.includes(smscId))
      if (!text) continue
      const index = text.ids.indexOf(smscId)
      delete text.parts[index]
      delete text.ids[index]
      if (Object.keys(text.parts).length === 0) texts.splice(texts.indexOf(text), 1)
      return
    }
  }

  /** Replaces the text of a received part, in the same data_coding; returns the part, or undefined if it is not stored. */
  replace(smscId: string, text: Buffer): ReceivedPart | undefined {
    const message = this.#recent.find((recent) => recent?.smscId === smscId)
    if (!message) return undefined
    message.text = text
    const phone = fromSmppAddress(message.destination_addr)
    const stored = phone === undefined ? undefined : this.#followed.get(phone)?.find(({ ids }) => ids.includes(smscId))
    if (stored) {
      stored.parts[stored.ids.indexOf(smscId)] = decodeShortMessage(text, message.data_coding, message.esm_class).text
    }
    return message
  }

  /** Records a text that the handset sends. */
  recordSent(phone: number, shortCode: string, content: string, partCount: number, at: number): void {
    const texts = this.#follow(phone)
    addText(texts, { direction: 'MO', shortCode, at, parts: [content], ids: [], partCount, reference: undefined })
  }

  /** Returns the handset's texts, oldest first, and follows the handset from now on. */
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
    else texts = this.#findRecent(phone)
    this.#followed.set(phone, texts)
    if (this.#followed.size > MAX_HANDSETS) {
      for (const leastRecentlyUsed of this.#followed.keys()) {
        this.#followed.delete(leastRecentlyUsed)
        break
      }
    }
    return texts
  }

  #findRecent(phone: number): HandsetText[] {
    const texts: HandsetText[] = []
    const digits = String(phone)
    for (let i = 0; i < this.#recent.length; i++) {
      const message = this.#recent[(this.#oldest + i) % this.#recent.length]
      if (!message?.destination_addr.endsWith(digits)) continue
      if (fromSmppAddress(message.destination_addr) === phone) addReceived(texts, message)
    }
    return texts
  }
}

function addReceived(texts: HandsetText[], message: ReceivedPart): void {
  const { text, concat = message.sar } = decodeShortMessage(message.text, message.data_coding, message.esm_class)
  const index = (concat?.sequence ?? 1) - 1
  const partial = concat && texts.findLast((candidate) => isMissingPart(candidate, message.source_addr, concat))
  if (partial) {
    partial.parts[index] = text
    partial.ids[index] = message.smscId
    return
  }
  const parts: string[] = []
  parts[index] = text
  const ids: string[] = []
  ids[index] = message.smscId
  addText(texts, {
    direction: 'MT',
    shortCode: message.source_addr,
    at: message.at,
    parts,
    ids,
    partCount: concat?.total ?? 1,
    reference: concat?.reference,
  })
}

function isMissingPart(text: HandsetText, shortCode: string, { reference, total, sequence }: Concat): boolean {
  return (
    text.direction === 'MT' &&
    text.shortCode === shortCode &&
    text.reference === reference &&
    text.partCount === total &&
    text.parts[sequence - 1] === undefined
  )
}

function addText(texts: HandsetText[], text: HandsetText): void {
  texts.push(text)
  if (texts.length > MAX_TEXTS) texts.shift()
}
