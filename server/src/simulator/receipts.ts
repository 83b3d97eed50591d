import { esmClass, messageState, npi, registeredDelivery, ton } from '../smpp/pdu/flags.ts'
import { type DataSm, type DeliverSm, dataSm, deliverSm, type SubmitSm } from '../smpp/pdu/pdu.ts'
import { formatReceipt } from '../smpp/pdu/receipt-format.ts'
import type { ReceiptStat } from '../smpp/pdu/receipt-text.ts'
import type { Tlvs } from '../smpp/pdu/tlvs.ts'
import { decodeShortMessage } from '../sms/parts.ts'
import { fateOf, type ReceiptState } from './fates.ts'
import type { MessageState } from './message-states.ts'
import type { RawRecord } from './raw-file.ts'
import type { Settings } from './settings.ts'
import { spellId } from './smsc-id.ts'

/** An owed receipt. It is small, because hundreds of thousands of receipts may wait for a client that receives none. */
export type OwedReceipt = {
  kind: 'receipt'
  smscId: string
  destination: string
  source: string
  submittedAt: number
  /** The first 20 characters, one octet each. */
  excerpt: string
  reference: number | undefined
  outcome: ReceiptState
  /** True if registered_delivery does not request it; then it is sent only if the message is cancelled before it is due. */
  isUnrequested: boolean
  /** The message's unacknowledged receipts, if it has several or its response waits for them. */
  group: { unacknowledged: number; onSettled: (() => void) | undefined } | undefined
}

const receiptStates: Record<ReceiptState, { stat: ReceiptStat; state: MessageState }> = {
  delivered: { stat: 'DELIVRD', state: messageState.DELIVERED },
  hard: { stat: 'UNDELIV', state: messageState.UNDELIVERABLE },
  soft: { stat: 'UNDELIV', state: messageState.UNDELIVERABLE },
  expired: { stat: 'EXPIRED', state: messageState.EXPIRED },
  deleted: { stat: 'DELETED', state: messageState.DELETED },
}

/** Returns the message_state for query_sm; a message without a receipt is also delivered. */
export function stateOf(outcome: ReceiptState | 'none'): MessageState {
  return receiptStates[outcome === 'none' ? 'delivered' : outcome].state
}

/** Network type GSM in network_error_code (§5.3.2.31). */
const GSM_NETWORK = 3

const EXCERPT_LENGTH = 20
/** Hex digits of a text that cover a user data header and EXCERPT_LENGTH characters of two octets. */
const EXCERPT_HEX = 160

/**
 * Makes a message's receipt; undefined if it gets none. For a delivered message with onFailure, the receipt is
 * unrequested.
 */
export function makeReceipt(
  smscId: string,
  submittedAt: number,
  outcome: ReceiptState | 'none',
  pdu: Pick<
    SubmitSm,
    'destination_addr' | 'source_addr' | 'data_coding' | 'esm_class' | 'registered_delivery' | 'tlvs'
  >,
  text: Buffer,
): OwedReceipt | undefined {
  if (outcome === 'none' || !wantsReceipt(pdu.registered_delivery, 'deleted')) return undefined
  return {
    kind: 'receipt',
    smscId,
    destination: pdu.destination_addr,
    source: pdu.source_addr,
    submittedAt,
    excerpt: excerptOf(text, pdu.data_coding, pdu.esm_class),
    reference: pdu.tlvs?.user_message_reference,
    outcome,
    isUnrequested: !wantsReceipt(pdu.registered_delivery, outcome),
    group: undefined,
  }
}

/** Makes the receipt of a message of an earlier run by its number's fate, because the mix of that run is unknown. */
export function receiptOfRecord(record: RawRecord): OwedReceipt | undefined {
  const outcome = fateOf(record.destination)?.outcome ?? 'delivered'
  const pdu = {
    destination_addr: record.destination,
    source_addr: record.source,
    data_coding: record.dataCoding,
    esm_class: record.esmClass,
    registered_delivery: record.registeredDelivery,
    tlvs: { user_message_reference: record.userMessageReference },
  }
  const text = Buffer.from(record.shortMessage.slice(0, EXCERPT_HEX), 'hex')
  const receipt = makeReceipt(record.smscId, record.time, outcome, pdu, text)
  return receipt?.isUnrequested ? undefined : receipt
}

/** Returns the first characters of a text for its receipt: one octet each, and "?" for characters outside Latin-1. */
export function excerptOf(text: Buffer, data_coding: number, esm_class: number): string {
  if (data_coding === 0 && !(esm_class & esmClass.udhi)) return text.toString('latin1', 0, EXCERPT_LENGTH)
  const decoded = decodeShortMessage(text, data_coding, esm_class).text.slice(0, EXCERPT_LENGTH)
  return decoded.replace(/[^ -ÿ]/g, '?')
}

/** Returns whether a message with this registered_delivery gets a receipt for this outcome (SMPP 3.4 §5.2.17). */
function wantsReceipt(registered_delivery: number, outcome: OwedReceipt['outcome']): boolean {
  const wanted = registered_delivery & 0x03
  return wanted === registeredDelivery.always || (wanted === registeredDelivery.onFailure && outcome !== 'delivered')
}

/** Makes the deliver_sm or data_sm of a receipt, from the handset's number to the sender's (§4.6, appendix B). */
export function receiptPdu(receipt: OwedReceipt, settings: Settings, now: number): DeliverSm | DataSm {
  const pdu = receiptAsDeliverSm(receipt, settings, now)
  if (settings.receiptPdu === 'deliver_sm') return pdu
  const { command: _, short_message: message_payload, tlvs, ...fields } = pdu
  return dataSm({ ...fields, tlvs: { ...tlvs, message_payload } })
}

function receiptAsDeliverSm(receipt: OwedReceipt, settings: Settings, now: number): DeliverSm {
  const { stat } = receiptStates[receipt.outcome]
  const message_id = spellId(receipt.smscId, settings.receiptIdForm)
  return deliverSm({
    source_addr_ton: ton.international,
    source_addr_npi: npi.isdn,
    source_addr: receipt.destination,
    destination_addr: receipt.source,
    esm_class: esmClass.receipt,
    short_message: formatReceipt({
      message_id,
      stat,
      submitDate: new Date(receipt.submittedAt),
      doneDate: new Date(now),
      err: settings.receiptError[receipt.outcome],
      text: receipt.excerpt,
    }),
    tlvs: receiptTlvs(receipt, message_id, settings),
  })
}

function receiptTlvs({ outcome, reference }: OwedReceipt, message_id: string, settings: Settings): Tlvs | undefined {
  const echo = settings.echoReference && reference !== undefined
  if (!settings.receiptTlvs) return echo ? { user_message_reference: reference } : undefined
  const tlvs: Tlvs = { receipted_message_id: message_id, message_state: receiptStates[outcome].state }
  const code = outcome === 'delivered' ? 0 : Number(settings.receiptError[outcome])
  if (code > 0 && code <= 0xffff) tlvs.network_error_code = Buffer.from([GSM_NETWORK, code >> 8, code])
  if (echo) tlvs.user_message_reference = reference
  return tlvs
}
