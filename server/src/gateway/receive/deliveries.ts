import type { Connection } from '../../connections/connection.ts'
import { normalizeMessageId } from '../../connections/message-id.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import { listHandled } from '../../inbound/inbound.queries.ts'
import { isOptOutText, storeInbound } from '../../inbound/inbound.ts'
import type { ReceiptBook } from '../../receipts/receipts.ts'
import type { WaitingReceipt } from '../../receipts/waiting.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm } from '../../smpp/pdu/pdu.ts'
import { asDeliverSm } from '../../smpp/pdu/pdu.ts'
import { isReceipt, parseReceipt } from '../../smpp/pdu/receipt-text.ts'
import type { Session } from '../../smpp/session.ts'
import type { ResponseFields } from '../../smpp/session.types.ts'
import { decodeShortMessage } from '../../sms/parts.ts'
import { fromSmppAddress } from '../../sms/phone-number.ts'
import type { Meter } from '../meter.ts'
import type { Recorder } from '../submit/recorder.ts'
import { timing } from '../timing.ts'

const { optOutMaxMs } = timing

/** What must be known of the connection that a PDU comes from. */
type From = Pick<Connection, 'id' | 'name' | 'charset' | 'errorMap' | 'receiptIdForm'>

type Respond = (fields?: ResponseFields) => void

/**
 * Takes what the SMSC delivers. A receipt and an MO are durable before their response. An MO that asks to opt out gets its response
 * when the opt-out is committed: from then on it is in force, even if this process stands still.
 */
export class Deliveries {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #recorder: Recorder
  readonly #receipts: ReceiptBook
  readonly #meter: Meter
  readonly #onInbound: () => void
  // the last MO of each handset that is being stored
  readonly #storing = new Map<number, Promise<void>>()
  // MOs that ask to opt out, by their ids, with their responses
  readonly #optOuts = new Map<number, () => void>()

  constructor(
    rt: Pick<Runtime, 'db' | 'clock' | 'log'>,
    recorder: Recorder,
    receipts: ReceiptBook,
    meter: Meter,
    onInbound: () => void,
  ) {
    this.#rt = rt
    this.#recorder = recorder
    this.#receipts = receipts
    this.#meter = meter
    this.#onInbound = onInbound
  }

  take(from: From, session: Session, request: DeliverSm | DataSm): void {
    // a data_sm has the same in other fields
    const pdu = request.command === 'data_sm' ? asDeliverSm(request) : request
    const respond: Respond = (fields) => session.respond(request, fields)
    if (isReceipt(pdu)) this.#takeReceipt(from, pdu, respond)
    else this.#takeInbound(from, pdu, respond)
  }

  /** Responds to the MOs that ask to opt out and have been interpreted since. */
  async respondToOptOuts(): Promise<void> {
    if (this.#optOuts.size === 0) return
    for (const id of await listHandled(this.#rt.db, [...this.#optOuts.keys()])) this.#optOuts.get(id)?.()
  }

  #takeReceipt(from: From, pdu: DeliverSm, respond: Respond): void {
    const receipt = parseReceipt(pdu)
    this.#meter.receipt(from.name, receipt?.stat ?? 'unreadable')
    const err = storable(receipt?.err ?? '')
    const judgement = receipt && statusMapOf(from).ofReceipt(receipt.stat, err)
    if (!receipt || !judgement) {
      if (!receipt) this.#rt.log.warn({ esm_class: pdu.esm_class }, 'receipt without a state ignored')
      respond()
      return
    }
    const row: WaitingReceipt = {
      smscId: normalizeMessageId(from.receiptIdForm, 'receipt', receipt.message_id),
      ...judgement,
      carrierStatus: err ? `${receipt.stat} ${err}` : receipt.stat,
      connectionId: from.id,
      phone: fromSmppAddress(pdu.source_addr) ?? null,
      shortCode: shortCodeOf(pdu.destination_addr),
      reference: pdu.tlvs?.user_message_reference ?? null,
      submitDate: receipt.submit_date === undefined ? null : storable(receipt.submit_date),
      excerpt: receipt.text === undefined ? null : storable(receipt.text),
      receivedAt: this.#rt.clock.now(),
    }
    this.#recorder.whenRecorded(from.id, row.smscId, () => this.#receipts.add(row, respond))
  }

  /** MOs of one handset are stored one after the other: a STOP and the text after it must not change places. */
  #takeInbound(from: From, pdu: DeliverSm, respond: Respond): void {
    const phone = fromSmppAddress(pdu.source_addr)
    if (phone === undefined) {
      this.#rt.log.warn('MO from an address that is no phone number ignored')
      respond()
      return
    }
    const before = this.#storing.get(phone)
    const take = () => this.#storeInbound(from, pdu, phone, respond)
    const stored = before ? before.then(take) : take()
    this.#storing.set(phone, stored)
    void stored.then(() => {
      if (this.#storing.get(phone) === stored) this.#storing.delete(phone)
    })
  }

  /** Resolves when the MO is stored; its response may come later. */
  async #storeInbound(from: From, pdu: DeliverSm, phone: number, respond: Respond): Promise<void> {
    const raw = pdu.short_message.length > 0 ? pdu.short_message : (pdu.tlvs?.message_payload ?? pdu.short_message)
    let content: string
    let id: number
    try {
      content = decodeShortMessage(raw, pdu.data_coding, pdu.esm_class, from.charset).text
      id = await storeInbound(this.#rt.db, {
        connectionId: from.id,
        shortCode: shortCodeOf(pdu.destination_addr),
        phone,
        content,
        raw: Buffer.from(raw),
        dataCoding: pdu.data_coding,
        receivedAt: this.#rt.clock.now(),
      })
    } catch (error) {
      this.#rt.log.warn({ err: error }, 'failed to store an MO, the carrier sends it again')
      respond({ command_status: commandStatus.ESME_RX_T_APPN })
      return
    }
    this.#meter.inbound(from.name)
    if (isOptOutText(content)) this.#respondWhenRead(id, respond)
    else respond()
    this.#onInbound()
  }

  #respondWhenRead(id: number, respond: Respond): void {
    const timer = setTimeout(() => {
      this.#optOuts.delete(id)
      this.#rt.log.warn({ mo: id }, 'opt-out not committed in time, the carrier sends the MO again')
      respond({ command_status: commandStatus.ESME_RX_T_APPN })
    }, optOutMaxMs)
    timer.unref()
    this.#optOuts.set(id, () => {
      clearTimeout(timer)
      this.#optOuts.delete(id)
      respond()
    })
  }
}

/** A carrier's text as PostgreSQL can store it: one NUL would make a whole batch of receipts fail forever. */
function storable(words: string): string {
  return words.slice(0, 200).replaceAll('\0', '')
}

/** The sender address as short_codes has it: a ten-digit number without its country code. */
function shortCodeOf(address: string): string {
  return String(fromSmppAddress(address) ?? address.replace(/^\+/, ''))
}
