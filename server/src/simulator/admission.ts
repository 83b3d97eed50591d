import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { SubmitSm } from '../smpp/pdu/pdu.ts'
import { readSmppTime } from '../smpp/pdu/time.ts'
import { drawRejected, type Fate } from './fates.ts'
import { RateWindow } from './rate-window.ts'
import type { Settings } from './settings.ts'

/** Maximum number of owed receipts; above it, new messages get ESME_RMSGQFUL. 400,000 receipts use 150 MB. */
const MAX_OWED = 400_000
/** Maximum number of stored texts with the fate throttled_twice. */
const MAX_THROTTLED = 10_000

const DESTINATION = /^\+?[0-9]{1,20}$/
const SOURCE = /^[\x20-\x7e]{1,20}$/

/** Accepts or rejects each submit_sm. */
export class Admission {
  #rate: RateWindow | undefined
  #reject: Settings['reject'] = null
  #ordinal = 0
  readonly #throttled = new Map<string, number>()

  change({ throttle, reject }: Settings): void {
    const mps = throttle?.mps
    this.#reject = reject
    if (mps !== this.#rate?.limit) this.#rate = mps === undefined ? undefined : new RateWindow(mps)
  }

  /** Returns the command_status of the response; ESME_ROK accepts the text. */
  decide(pdu: SubmitSm, text: Buffer, fate: Fate | undefined, owed: number, now: number): number {
    if (!SOURCE.test(pdu.source_addr)) return status.ESME_RINVSRCADR
    if (!DESTINATION.test(pdu.destination_addr) || fate?.response === 'rejected') return status.ESME_RINVDSTADR
    if (pdu.validity_period !== '' && readSmppTime(pdu.validity_period, now) === undefined)
      return status.ESME_RINVEXPIRY
    if (owed > MAX_OWED) return status.ESME_RMSGQFUL
    if (this.#rate && !this.#rate.take(now)) return status.ESME_RTHROTTLED
    if (fate?.response === 'throttled_twice' && this.#throttleAgain(pdu, text)) return status.ESME_RTHROTTLED
    if (this.#reject && drawRejected(this.#reject.percent, ++this.#ordinal)) return this.#reject.status
    return status.ESME_ROK
  }

  clear(): void {
    this.#throttled.clear()
  }

  #throttleAgain(pdu: SubmitSm, text: Buffer): boolean {
    const key = `${pdu.destination_addr} ${text.toString('latin1')}`
    const times = (this.#throttled.get(key) ?? 0) + 1
    this.#throttled.delete(key)
    if (times > 2) return false
    this.#throttled.set(key, times)
    if (this.#throttled.size > MAX_THROTTLED) {
      for (const oldest of this.#throttled.keys()) {
        this.#throttled.delete(oldest)
        break
      }
    }
    return true
  }
}
