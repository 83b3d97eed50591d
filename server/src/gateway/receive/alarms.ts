import { endAlarm, raiseAlarm } from '../../connections/alarms.queries.ts'
import type { Db } from '../../db/db.ts'
import type { Runtime } from '../../runtime.ts'
import { timing } from '../timing.ts'

const { accountRejectedMs, alarmIntervalMs } = timing
const maxKinds = 1_000

/**
 * Limits the log lines of one kind to one per minute, because a carrier without credit reports every text of a broadcast; and
 * raises and ends the alarm of a rejected account.
 */
export class Alarms {
  readonly #rt: { db: Db } & Pick<Runtime, 'clock' | 'log'>
  readonly #loggedAt = new Map<string, number>()

  constructor(rt: { db: Db } & Pick<Runtime, 'clock' | 'log'>) {
    this.#rt = rt
  }

  /** Returns whether a line of this kind is due, and counts it as logged. */
  isDue(kind: string, now = performance.now()): boolean {
    const loggedAt = this.#loggedAt.get(kind)
    if (loggedAt !== undefined && now - loggedAt < alarmIntervalMs) return false
    if (this.#loggedAt.size >= maxKinds) this.#loggedAt.clear()
    this.#loggedAt.set(kind, now)
    return true
  }

  /** Raises the alarm that a carrier rejects texts because of our account or its system. */
  accountRejected(connectionId: number, carrierStatus: string): void {
    const detail = `Receipts report ${carrierStatus}: the carrier rejects texts because of our account or its system`
    this.#write((db, at) => raiseAlarm(db, { connectionId, name: 'account_rejected', detail }, at))
  }

  /** Ends that alarm, once per minute at most, because a text was delivered. */
  delivered(connectionId: number): void {
    if (!this.isDue(`${connectionId} delivered`)) return
    this.#write((db, at) =>
      endAlarm(db, { connectionId, name: 'account_rejected' }, new Date(at.getTime() - accountRejectedMs)),
    )
  }

  /** Writes in the background; if it fails, the next receipt in a minute writes again. */
  #write(write: (db: Db, at: Date) => Promise<void>): void {
    const { db, clock, log } = this.#rt
    write(db, clock.now()).catch((error) => log.warn({ err: error }, 'failed to store an alarm'))
  }
}
