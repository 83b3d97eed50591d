import type { Connection } from '../../connections/connection.ts'
import type { Chunk, Recipient } from '../../log/chunk.ts'
import { type SubmitSm, submitSm } from '../../smpp/pdu/pdu.ts'
import { absoluteTime, relativeTime } from '../../smpp/pdu/time.ts'
import type { Tlvs } from '../../smpp/pdu/tlvs.ts'
import { type EncodedPart, encodeParts } from '../../sms/parts.ts'
import { toSmppAddress } from '../../sms/phone-number.ts'
import { mixLogId, referenceOf } from '../../sms/reference.ts'
import { sourceAddress } from './source-address.ts'

/** The settings of a connection that determine the PDUs of a text. */
export type TextSettings = Pick<
  Connection,
  | 'charset'
  | 'longText'
  | 'serviceType'
  | 'sourceTon'
  | 'sourceNpi'
  | 'destTon'
  | 'destNpi'
  | 'validityS'
  | 'validityPeriod'
>

/** The part number of a PDU that contains all parts of a text. */
export const allParts = -1

export type EncodedText = {
  pdus: EncodedPart[]
  /** Number of parts that the phone receives; greater than the number of PDUs if the SMSC splits the text. */
  partCount: number
}

/** Encodes the texts of one chunk for one connection; content that all recipients share is encoded once. */
export class ChunkEncoder {
  readonly #settings: TextSettings
  readonly #chunk: Pick<Chunk, 'content' | 'closesAt' | 'deliverBy'>
  readonly #source: ReturnType<typeof sourceAddress>
  // the message's content by concatenation reference, which must differ between two texts to one phone
  readonly #encoded = new Map<number, EncodedText>()

  constructor(chunk: Pick<Chunk, 'content' | 'shortCode' | 'closesAt' | 'deliverBy'>, settings: TextSettings) {
    this.#chunk = chunk
    this.#settings = settings
    this.#source = sourceAddress(chunk.shortCode, settings)
  }

  /** Returns the number of PDUs of a recipient's text; an estimate if its content is recipient-specific and not encoded yet. */
  pduCount({ content, partCount }: Recipient): number {
    if (content === null || content === undefined) return this.#encodeShared(0).pdus.length
    return this.#settings.longText === 'payload' ? 1 : partCount
  }

  /** Encodes the recipient-specific content, or the message's content if there is none. */
  encode({ id, content, partCount }: Recipient): EncodedText {
    if (content !== null && content !== undefined) return this.#encode(content, this.#referenceOf(id), partCount)
    // a text of one part has no reference
    const shared = this.#encodeShared(0)
    return shared.pdus.length === 1 ? shared : this.#encodeShared(this.#referenceOf(id))
  }

  /**
   * Returns the validity_period of a text that is submitted at `now`: that of the connection, but not past the end of the chunk's
   * sending window or the message's deadline. Empty if nothing limits it, or if the connection sends none.
   */
  validityAt(now: Date): string {
    const { validityS, validityPeriod } = this.#settings
    if (validityPeriod === 'off') return ''
    const { closesAt, deliverBy } = this.#chunk
    const limits = [closesAt, deliverBy].map((at) => (at === null ? Infinity : at.getTime() - now.getTime()))
    const ms = Math.min((validityS ?? Infinity) * 1_000, ...limits)
    if (ms === Infinity) return ''
    // in whole seconds, rounded down
    const wholeMs = Math.floor(ms / 1_000) * 1_000
    if (validityPeriod === 'relative') return relativeTime(wholeMs)
    return absoluteTime(Math.floor((now.getTime() + Math.max(wholeMs, 1_000)) / 1_000) * 1_000)
  }

  /** Returns the submit_sm with index `n` of a text. It requests a final receipt and contains our reference for matching it. */
  pdu(recipient: Recipient, encoded: EncodedText, n: number, validity: string): SubmitSm {
    const { data_coding, esm_class, short_message, sar, message_payload } = encoded.pdus[n] as EncodedPart
    const tlvs: Tlvs = { user_message_reference: referenceOf(recipient.id, n) }
    if (sar) {
      tlvs.sar_msg_ref_num = sar.reference
      tlvs.sar_total_segments = sar.total
      tlvs.sar_segment_seqnum = sar.sequence
    }
    if (message_payload) tlvs.message_payload = message_payload
    return submitSm({
      service_type: this.#settings.serviceType,
      ...this.#source,
      dest_addr_ton: this.#settings.destTon ?? 1,
      dest_addr_npi: this.#settings.destNpi ?? 1,
      destination_addr: toSmppAddress(recipient.phone),
      esm_class,
      validity_period: validity,
      data_coding,
      registered_delivery: 1,
      short_message,
      tlvs,
    })
  }

  #encodeShared(reference: number): EncodedText {
    let encoded = this.#encoded.get(reference)
    if (!encoded) {
      encoded = this.#encode(this.#chunk.content, reference)
      this.#encoded.set(reference, encoded)
    }
    return encoded
  }

  #encode(content: string, reference: number, partCount?: number): EncodedText {
    const pdus = encodeParts(content, reference, this.#settings)
    if (pdus[0]?.message_payload === undefined) return { pdus, partCount: pdus.length }
    return { pdus, partCount: partCount ?? encodeParts(content, 0).length }
  }

  #referenceOf(id: number): number {
    return mixLogId(id) % (this.#settings.longText === 'udh16' ? 65_536 : 256)
  }
}
