import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { SubmitSm } from '../smpp/pdu/pdu.ts'
import { readSmppTime } from '../smpp/pdu/time.ts'
import { drawRefused, type Fate } from './fates.ts'
import { RateWindow } from './rate-window.ts'
import type { Settings } from './settings.ts'

/** More than this owed, and new messages are refused with ESME_RMSGQFUL: so many take 150 MB, and the rest is flat. */
const MOST_OWED = 400_000
/** Destinations and texts that are being throttled two times. */
const THROTTLED_KEPT = 10_000

const DESTINATION = /^\+?[0-9]{1,20}$/
const SOURCE = /^[\x20-\x7e]{1,20}$/

/** Decides which submit_sm is taken. */
export class Admission {
  #rate: RateWindow | undefined
  #refuse: Settings['refuse'] = null
  #judged = 0
  readonly #throttled = new Map<string, number>()

  change({ throttle, refuse }: Settings): void {
    const mps = throttle?.mps
    this.#refuse = refuse
    if (mps !== this.#rate?.limit) this.#rate = mps === undefined ? undefined : new RateWindow(mps)
  }

  /** The command_status it is answered with; ESME_ROK takes it. */
  judge(pdu: SubmitSm, text: Buffer, fate: Fate | undefined, owed: number, now: number): number {
    if (!SOURCE.test(pdu.source_addr)) return status.ESME_RINVSRCADR
    if (!DESTINATION.test(pdu.destination_addr) || fate?.answer === 'refused') return status.ESME_RINVDSTADR
    if (pdu.validity_period !== '' && readSmppTime(pdu.validity_period, now) === undefined)
      return status.ESME_RINVEXPIRY
    if (owed > MOST_OWED) return status.ESME_RMSGQFUL
    if (this.#rate && !this.#rate.take(now)) return status.ESME_RTHROTTLED
    if (fate?.answer === 'throttled_twice' && this.#throttlesOnceMore(pdu, text)) return status.ESME_RTHROTTLED
    if (this.#refuse && drawRefused(this.#refuse.percent, ++this.#judged)) return this.#refuse.status
    return status.ESME_ROK
  }

  clear(): void {
    this.#throttled.clear()
  }

  #throttlesOnceMore(pdu: SubmitSm, text: Buffer): boolean {
    const key = `${pdu.destination_addr} ${text.toString('latin1')}`
    const times = (this.#throttled.get(key) ?? 0) + 1
    this.#throttled.delete(key)
    if (times > 2) return false
    this.#throttled.set(key, times)
    if (this.#throttled.size > THROTTLED_KEPT) {
      for (const oldest of this.#throttled.keys()) {
        this.#throttled.delete(oldest)
        break
      }
    }
    return true
  }
}
