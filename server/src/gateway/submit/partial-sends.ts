import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import type { Clock } from '../../lib/clock.ts'
import { listStillAllowed } from '../../log/partial-sends.queries.ts'
import { timing } from '../timing.ts'
import type { Flight } from './outgoing-text.ts'

const { consentFreshMs, partialSendMaxMs } = timing

type Begun = { flight: Flight; notBefore: number; since: number }

export type PartialSendsOptions = {
  db: Db
  clock: Clock
  log: Logger
  /** The rest of this text must not be written any more. */
  end(flight: Flight): void
  /** There may be something to write now. */
  onChange(): void
}

/**
 * Texts of which some parts are with the carrier, while the others wait for their turn. They cannot be queued again, so no
 * mark asks for them a second time: whether the others may follow is asked here.
 */
export class PartialSends {
  readonly #options: PartialSendsOptions
  #waiting: Begun[] = []

  constructor(options: PartialSendsOptions) {
    this.#options = options
  }

  /** The rest of this text is to be written as soon as `afterMs` are over. */
  add(flight: Flight, afterMs: number): void {
    const now = performance.now()
    this.#waiting.push({ flight, notBefore: now + afterMs, since: now })
    setTimeout(this.#options.onChange, afterMs)
  }

  /** There was no room for it now. */
  putBack(begun: Begun): void {
    this.#waiting.push(begun)
  }

  /** Takes out those that may be written now; asks for those of which that is not known, and ends those that may not. */
  take(now: number): Begun[] {
    if (this.#waiting.length === 0) return []
    const due = this.#waiting.filter((begun) => begun.notBefore <= now)
    this.#waiting = this.#waiting.filter((begun) => begun.notBefore > now)
    const going: Begun[] = []
    const unsure: Begun[] = []
    for (const begun of due) {
      const { flight, since } = begun
      if (!flight.leased.mayGoOn(now) || (!flight.group.transmits && now - since > partialSendMaxMs))
        this.#options.end(flight)
      else (now - flight.allowedAt < consentFreshMs ? going : unsure).push(begun)
    }
    for (const texts of Map.groupBy(unsure, ({ flight }) => flight.leased).values()) void this.#ask(texts)
    return going
  }

  async #ask(texts: Begun[]): Promise<void> {
    const { db, clock, log, end, onChange } = this.#options
    const asked = performance.now()
    const recipients = texts.map(({ flight }) => flight.recipient)
    const chunk = texts[0]?.flight.leased.chunk
    if (!chunk) return
    try {
      const allowed = new Set(await listStillAllowed(db, chunk, recipients, clock.now()))
      for (const begun of texts) {
        const { flight } = begun
        if (!allowed.has(flight.recipient.id)) {
          end(flight)
          continue
        }
        flight.allowedAt = asked
        this.#waiting.push(begun)
      }
      onChange()
    } catch (error) {
      log.warn({ err: error, chunk: chunk.id }, 'could not ask whether texts may go on, trying again')
      const notBefore = performance.now() + consentFreshMs
      for (const begun of texts) this.#waiting.push({ ...begun, notBefore })
      setTimeout(onChange, consentFreshMs)
    }
  }
}
