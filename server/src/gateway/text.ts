import type { Chunk } from '../broadcasts/chunks.queries.ts'
import type { Recipient } from '../broadcasts/marks.queries.ts'
import { type SubmitSm, submitSm } from '../smpp/pdu/pdu.ts'
import { type EncodedPart, encodeParts } from '../sms/parts.ts'
import { toSmppAddress } from '../sms/phone-number.ts'

/** Type of number: a five- or six-digit code is network specific, a full number international (SMPP 3.4 §5.2.5). */
function typeOfNumber(address: string): { ton: number; npi: number } {
  return address.length <= 6 ? { ton: 3, npi: 0 } : { ton: 1, npi: 1 }
}

/** The text of one chunk, encoded once and made into submit_sm PDUs for each recipient. */
export class Text {
  readonly partCount: number
  readonly #content: string
  readonly #source: string
  readonly #ton: number
  readonly #npi: number
  // by concatenation reference: parts of two texts to one handset must not share one
  readonly #encoded = new Map<number, EncodedPart[]>()

  constructor(chunk: Chunk) {
    this.#content = chunk.content
    const source = chunk.shortCode.length === 10 ? `1${chunk.shortCode}` : chunk.shortCode
    const { ton, npi } = typeOfNumber(source)
    this.#source = source
    this.#ton = ton
    this.#npi = npi
    this.partCount = this.#parts(0).length
  }

  /** The submit_sm of one part to one recipient, asking for a final receipt and carrying our reference for it. */
  pdu(recipient: Recipient, part: number): SubmitSm {
    const encoded = this.#parts(recipient.id)[part] as EncodedPart
    return submitSm({
      source_addr_ton: this.#ton,
      source_addr_npi: this.#npi,
      source_addr: this.#source,
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      destination_addr: toSmppAddress(recipient.phone),
      esm_class: encoded.esm_class,
      data_coding: encoded.data_coding,
      registered_delivery: 1,
      short_message: encoded.short_message,
      tlvs: { user_message_reference: referenceOf(recipient.id, part) },
    })
  }

  #parts(id: number): EncodedPart[] {
    const reference = this.partCount > 1 ? id % 256 : 0
    let parts = this.#encoded.get(reference)
    if (!parts) {
      parts = encodeParts(this.#content, reference)
      this.#encoded.set(reference, parts)
    }
    return parts
  }
}

/** What a carrier may echo in a receipt: twelve bits of the log row's id, four of the part's number (from 0). */
export function referenceOf(logId: number, part: number): number {
  return (logId % 4096) * 16 + (part % 16)
}
