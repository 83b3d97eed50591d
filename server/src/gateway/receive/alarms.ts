import { timing } from '../timing.ts'

const { alarmIntervalMs } = timing
const maxKinds = 1_000

/** Limits the log lines of one kind to one per minute: a carrier without credit reports every text of a broadcast. */
export class Alarms {
  readonly #loggedAt = new Map<string, number>()

  /** Returns whether a line of this kind is due, and counts it as logged. */
  isDue(kind: string, now = performance.now()): boolean {
    const loggedAt = this.#loggedAt.get(kind)
    if (loggedAt !== undefined && now - loggedAt < alarmIntervalMs) return false
    if (this.#loggedAt.size >= maxKinds) this.#loggedAt.clear()
    this.#loggedAt.set(kind, now)
    return true
  }
}
