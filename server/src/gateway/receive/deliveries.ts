import type { Connection } from '../../connections/connection.ts'
import { normalizeMessageId } from '../../connections/message-id.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import { listHandled } from '../../inbound/inbound.queries.ts'
import { isOptOutText, storeInbound } from '../../inbound/inbound.ts'
import type { ReceiptBatcher } from '../../receipts/receipts.ts'
import type { WaitingReceipt } from '../../receipts/waiting.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm } from '../../smpp/pdu/pdu.ts'
import { asDeliverSm } from '../../smpp/pdu/pdu.ts'
import { isReceipt, parseReceipt } from '../../smpp/pdu/receipt-text.ts'
import type { Session } from '../../smpp/session.ts'
import type { ResponseFields } from '../../smpp/session.types.ts'
import { fromHandsetAddress } from '../../sms/handset-address.ts'
import { decodeShortMessage } from '../../sms/parts.ts'
import { fromSmppAddress } from '../../sms/phone-number.ts'
import type { Meter } from '../meter.ts'
import type { Recorder } from '../submit/recorder.ts'
import { timing } from '../timing.ts'

const { optOutMaxMs } = timing

/** The columns of a connection that the handling of its PDUs uses. */
type Source = Pick<Connection, 'id' | 'name' | 'charset' | 'errorMap' | 'receiptIdForm'>

type Respond = (fields?: ResponseFields) => void

/**
 * Handles deliver_sm and data_sm. Receipts and MOs are durable before their responses are sent. An opt-out gets its response when
 * it is committed: from then on it is in force, even if this process freezes.
 */
export class Deliveries {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #recorder: Recorder
  readonly #receipts: ReceiptBatcher
  readonly #meter: Meter
  readonly #onInbound: () => void
  // by phone: the latest MO that is being stored
  readonly #storing = new Map<number, Promise<void>>()
  // by MO id: the functions that respond to opt-outs that are not committed yet
  readonly #optOuts = new Map<number, () => void>()

  constructor(
    rt: Pick<Runtime, 'db' | 'clock' | 'log'>,
    recorder: Recorder,
    receipts: ReceiptBatcher,
    meter: Meter,
    onInbound: () => void,
  ) {
    this.#rt = rt
    this.#recorder = recorder
    this.#receipts = receipts
    this.#meter = meter
    this.#onInbound = onInbound
  }

  /** Stores the receipt or MO that a PDU contains, and then responds to the PDU. */
  handle(source: Source, session: Session, request: DeliverSm | DataSm): void {
    // a data_sm has the same values in other fields
    const pdu = request.command === 'data_sm' ? asDeliverSm(request) : request
    const respond: Respond = (fields) => session.respond(request, fields)
    if (request.flaw !== undefined) {
      const fields = { connection: source.name, sequence: request.sequence_number, flaw: request.flaw }
      this.#rt.log.warn(fields, 'malformed deliver_sm, using its readable fields')
    }
    if (isReceipt(pdu)) this.#handleReceipt(source, pdu, respond)
    else this.#handleInbound(source, pdu, respond)
  }

  /** Responds to the opt-outs that were committed since the last call. */
  async respondToOptOuts(): Promise<void> {
    if (this.#optOuts.size === 0) return
    for (const id of await listHandled(this.#rt.db, [...this.#optOuts.keys()])) this.#optOuts.get(id)?.()
  }

  #handleReceipt(source: Source, pdu: DeliverSm, respond: Respond): void {
    const receipt = parseReceipt(pdu)
    this.#meter.receipt(source.name, receipt?.stat ?? 'unreadable')
    const err = toStorable(receipt?.err ?? '')
    const deliveryStatus = receipt && statusMapOf(source).ofReceipt(receipt.stat, err)
    if (!receipt || !deliveryStatus) {
      if (!receipt) this.#rt.log.warn({ esm_class: pdu.esm_class }, 'receipt without a state ignored')
      respond()
      return
    }
    const row: WaitingReceipt = {
      smscId: normalizeMessageId(source.receiptIdForm, 'receipt', receipt.message_id),
      ...deliveryStatus,
      carrierStatus: err ? `${receipt.stat} ${err}` : receipt.stat,
      connectionId: source.id,
      phone: fromHandsetAddress(pdu.source_addr) ?? null,
      shortCode: shortCodeOf(pdu.destination_addr),
      reference: pdu.tlvs?.user_message_reference ?? null,
      submitDate: receipt.submit_date === undefined ? null : toStorable(receipt.submit_date),
      excerpt: receipt.text === undefined ? null : toStorable(receipt.text),
      receivedAt: this.#rt.clock.now(),
    }
    this.#recorder.whenRecorded(source.id, row.smscId, () => this.#receipts.add(row, respond))
  }

  /** Stores MOs of one phone one after the other, so that a STOP and the next text stay in order. */
  #handleInbound(source: Source, pdu: DeliverSm, respond: Respond): void {
    const phone = fromHandsetAddress(pdu.source_addr)
    if (phone === undefined) {
      this.#rt.log.warn('MO ignored, its source address is not a phone number')
      respond()
      return
    }
    const previous = this.#storing.get(phone)
    const store = () => this.#storeInbound(source, pdu, phone, respond)
    const stored = previous ? previous.then(store) : store()
    this.#storing.set(phone, stored)
    void stored.then(() => {
      if (this.#storing.get(phone) === stored) this.#storing.delete(phone)
    })
  }

  /** Resolves when the MO is stored or the attempt has failed; the response may be sent later. */
  async #storeInbound(source: Source, pdu: DeliverSm, phone: number, respond: Respond): Promise<void> {
    const raw = pdu.short_message.length > 0 ? pdu.short_message : (pdu.tlvs?.message_payload ?? pdu.short_message)
    let content: string
    let id: number
    try {
      content = decodeShortMessage(raw, pdu.data_coding, pdu.esm_class, source.charset).text
      id = await storeInbound(this.#rt.db, {
        connectionId: source.id,
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
    this.#meter.inbound(source.name)
    if (isOptOutText(content)) this.#respondWhenOptedOut(id, respond)
    else respond()
    this.#onInbound()
  }

  #respondWhenOptedOut(id: number, respond: Respond): void {
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

/** Removes NUL characters, which PostgreSQL rejects: one would make a whole batch of receipts fail forever. Limits the length. */
function toStorable(value: string): string {
  return value.slice(0, 200).replaceAll('\0', '')
}

/** Returns the short code of an address as in the table short_codes: a ten-digit number has no country code there. */
function shortCodeOf(address: string): string {
  return String(fromSmppAddress(address) ?? address.replace(/^\+/, ''))
}
