import { type CarrierLines, carrierLines } from '../../connections/carrier-lines.ts'
import type { Connection } from '../../connections/connection.ts'
import { listHandled, noteRedelivery, type StoredInbound } from '../../inbound/inbound.queries.ts'
import { storeInbound, wordOfText } from '../../inbound/inbound.ts'
import type { ReceiptBatcher } from '../../receipts/receipts.ts'
import type { Runtime } from '../../runtime.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm } from '../../smpp/pdu/pdu.ts'
import { asDeliverSm } from '../../smpp/pdu/pdu.ts'
import { hasReceiptText, isReceipt } from '../../smpp/pdu/receipt-text.ts'
import type { Session } from '../../smpp/session.ts'
import type { ResponseFields } from '../../smpp/session.types.ts'
import type { Meter } from '../meter.ts'
import type { Recorder } from '../submit/recorder.ts'
import { timing } from '../timing.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { Alarms } from './alarms.ts'
import { readInbound, readWord } from './inbound-row.ts'
import { type ReadReceipt, readReceipt } from './receipt-row.ts'

const { optOutMaxMs } = timing

/** The columns of a connection that the handling of its PDUs uses. */
type Source = Pick<Connection, 'id' | 'name' | 'charset' | 'errorMap' | 'receiptIdForm'>

type InboundRow = ReturnType<typeof readInbound>
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
  readonly #lines: CarrierLines
  readonly #alarms: Alarms
  readonly #acknowledgements: Acknowledgements
  // by sender: the latest MO that is being stored
  readonly #storing = new Map<number | string, Promise<void>>()
  // by MO id: the functions that respond to opt-outs that are not committed yet
  readonly #optOuts = new Map<number, Set<() => void>>()

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
    this.#lines = carrierLines(rt.log)
    this.#alarms = new Alarms(rt)
    this.#acknowledgements = new Acknowledgements(rt)
  }

  /** Stores the receipt or MO that a PDU contains, and then responds to the PDU. */
  handle(source: Source, session: Session, request: DeliverSm | DataSm): void {
    // a data_sm has the same values in other fields
    const pdu = request.command === 'data_sm' ? asDeliverSm(request) : request
    const respond: Respond = (fields) => session.respond(request, fields)
    if (request.flaw !== undefined) {
      const fields = { connection: source.name, sequence: request.sequence_number, flaw: request.flaw }
      this.#lines.warn(source.id, fields, 'malformed deliver_sm, using its readable fields')
    }
    const now = this.#rt.clock.now()
    const receipt = isReceipt(pdu) ? readReceipt(source, pdu, now) : undefined
    if (receipt && (isCertain(pdu, receipt) || readWord(source, pdu) === 'other'))
      this.#handleReceipt(source, receipt, request.sequence_number, respond)
    else this.#handleInbound(source, pdu, request.sequence_number, session, respond)
  }

  /** Responds to the opt-outs that were committed since the last call. */
  async respondToOptOuts(): Promise<void> {
    if (this.#optOuts.size === 0) return
    for (const id of await listHandled(this.#rt.db, [...this.#optOuts.keys()]))
      for (const finish of [...(this.#optOuts.get(id) ?? [])]) finish()
  }

  /** Resolves when it is recorded which MOs the carrier need not send again. */
  flushed(): Promise<void> {
    return this.#acknowledgements.flush()
  }

  #handleReceipt(source: Source, receipt: ReadReceipt, sequence: number, respond: Respond): void {
    const { kind, stat } = receipt
    this.#meter.receipt(source.name, stat ?? 'unreadable')
    if (kind === 'intermediate') {
      respond()
      return
    }
    if (kind === 'unread') {
      const fields = { connection: source.name, sequence, state: receipt.row.carrierStatus || null }
      if (this.#alarms.isDue(`${source.id} ${fields.state}`))
        this.#lines.warn(source.id, fields, 'receipt without a known state, listed for operators')
      this.#receipts.addUnread(receipt.row, respond)
      return
    }
    if ((stat === 'NOCRED' || stat === 'SYSERR') && this.#alarms.isDue(`${source.id} ${stat}`)) {
      const fields = { connection: source.name, sequence, state: receipt.row.carrierStatus }
      this.#rt.log.error(fields, 'carrier rejects texts because of our account or its system')
      this.#alarms.accountRejected(source.id, fields.state)
    }
    if (stat === 'DELIVRD') this.#alarms.delivered(source.id)
    this.#recorder.whenRecorded(source.id, receipt.row.smscId, () => this.#receipts.add(receipt.row, respond))
  }

  /** Stores MOs of one sender one after the other, so that a STOP and the next text stay in order. */
  #handleInbound(source: Source, pdu: DeliverSm, sequence: number, session: Session, respond: Respond): void {
    const mo = readInbound(source, pdu, this.#rt.clock.now())
    if (mo.phone === null) {
      const fields = { connection: source.name, sequence }
      this.#lines.warn(source.id, fields, 'MO from an address that is no phone number, listed for operators')
    }
    const sender = mo.phone ?? pdu.source_addr
    const previous = this.#storing.get(sender)
    const store = () => this.#storeInbound(source, mo, session, sequence, respond)
    const stored = previous ? previous.then(store) : store()
    this.#storing.set(sender, stored)
    void stored.then(() => {
      if (this.#storing.get(sender) === stored) this.#storing.delete(sender)
    })
  }

  /** Resolves when the MO is stored or the attempt has failed; the response may be sent later. */
  async #storeInbound(
    source: Source,
    mo: InboundRow,
    session: Session,
    sequence: number,
    respond: Respond,
  ): Promise<void> {
    let id: number
    let problem: StoredInbound['problem'] = null
    try {
      const repeated = this.#acknowledgements.findRepeated(mo.deliveryKey, session, sequence)
      if (repeated !== undefined) {
        id = repeated
        await noteRedelivery(this.#rt.db, id)
      } else {
        await this.#acknowledgements.settle(mo.deliveryKey)
        ;({ id, problem } = await storeInbound(this.#rt.db, mo))
      }
    } catch (error) {
      this.#lines.warn(source.id, { err: error }, 'failed to store an MO, the carrier sends it again')
      respond({ command_status: commandStatus.ESME_RX_T_APPN })
      return
    }
    this.#meter.inbound(source.name)
    const fields = { connection: source.name, sequence, destination: mo.shortCode.slice(0, 6) }
    if (problem === 'destination' && this.#alarms.isDue(`${source.id} to ${mo.shortCode.slice(0, 21)}`))
      this.#lines.warn(source.id, fields, 'MO to an unknown destination, listed for operators')
    const acknowledge = () => {
      respond()
      this.#acknowledgements.add(mo.deliveryKey, id, session, sequence)
    }
    if (mo.phone !== null && wordOfText(mo) === 'opt_out') this.#respondWhenOptedOut(source, id, acknowledge, respond)
    else acknowledge()
    this.#onInbound()
  }

  #respondWhenOptedOut(source: Source, id: number, acknowledge: () => void, respond: Respond): void {
    // the carrier may send the MO again, on another bind, while the first copy still waits
    const waiting = this.#optOuts.get(id) ?? new Set()
    this.#optOuts.set(id, waiting)
    const end = (then: () => void) => {
      clearTimeout(timer)
      waiting.delete(finish)
      if (waiting.size === 0) this.#optOuts.delete(id)
      then()
    }
    const finish = () => end(acknowledge)
    const timer = setTimeout(() => {
      this.#lines.warn(source.id, { mo: id }, 'opt-out not committed in time, the carrier sends the MO again')
      end(() => respond({ command_status: commandStatus.ESME_RX_T_APPN }))
    }, optOutMaxMs)
    timer.unref()
    waiting.add(finish)
  }
}

/** Whether the text is that of a receipt; otherwise it may be a STOP or HELP with a wrong esm_class or surplus TLVs. */
function isCertain(pdu: DeliverSm, { stat }: ReadReceipt): boolean {
  return stat !== undefined && hasReceiptText(pdu)
}
