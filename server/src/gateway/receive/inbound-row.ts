import { createHash } from 'node:crypto'
import type { Connection } from '../../connections/connection.ts'
import { readContent } from '../../inbound/content.ts'
import type { NewInbound } from '../../inbound/inbound.queries.ts'
import { wordOfText } from '../../inbound/inbound.ts'
import type { BareWord } from '../../inbound/words.ts'
import { type DeliverSm, textOctets } from '../../smpp/pdu/pdu.ts'
import { fromHandsetAddress } from '../../sms/handset-address.ts'
import { shortCodeOf } from './receipt-row.ts'

/** Reads an MO: every part of it that can be read, and its octets. */
export function readInbound(
  source: Pick<Connection, 'id' | 'charset'>,
  pdu: DeliverSm,
  receivedAt: Date,
): NewInbound & { deliveryKey: Buffer } {
  const raw = textOctets(pdu)
  const { content, udh, concat } = readContent(raw, pdu.data_coding, pdu.esm_class, source.charset)
  const phone = fromHandsetAddress(pdu.source_addr) ?? null
  const part = partOf(pdu, concat)
  return {
    connectionId: source.id,
    shortCode: withoutNul(shortCodeOf(pdu.destination_addr)),
    phone,
    sourceAddress: withoutNul(pdu.source_addr),
    content,
    raw: Buffer.from(raw),
    dataCoding: pdu.data_coding,
    esmClass: pdu.esm_class,
    udh,
    part,
    receivedAt,
    deliveryKey: deliveryKeyOf(source.id, pdu, raw),
  }
}

/** Returns the kind of word that the text of a PDU is, whatever its other fields say. */
export function readWord(source: Pick<Connection, 'charset'>, pdu: DeliverSm): BareWord {
  const { content, concat } = readContent(textOctets(pdu), pdu.data_coding, pdu.esm_class, source.charset)
  return wordOfText({ content, part: partOf(pdu, concat) })
}

function partOf(pdu: DeliverSm, concat: ReturnType<typeof readContent>['concat']): NewInbound['part'] {
  if (concat) return { reference: concat.reference, total: concat.total, number: concat.sequence }
  const { sar_msg_ref_num, sar_total_segments, sar_segment_seqnum } = pdu.tlvs ?? {}
  if (sar_total_segments === undefined && sar_segment_seqnum === undefined) return undefined
  return {
    reference: sar_msg_ref_num ?? null,
    total: sar_total_segments ?? null,
    number: sar_segment_seqnum ?? null,
  }
}

/** Returns a hash of everything in an MO but its sequence number, which differs when the SMSC sends it again. */
function deliveryKeyOf(connectionId: number, pdu: DeliverSm, raw: Buffer): Buffer {
  const { command: _, command_status: __, sequence_number: ___, flaw: ____, short_message, tlvs, ...fields } = pdu
  const hash = createHash('sha256')
  hash.update(JSON.stringify([connectionId, fields, short_message.toString('hex'), tlvs ?? null]))
  return hash.update(raw).digest()
}

function withoutNul(value: string): string {
  return value.replaceAll('\0', '')
}
