import type { Db } from '../../db/db.ts'
import { markAcknowledged } from '../../inbound/inbound.queries.ts'
import type { Runtime } from '../../runtime.ts'
import type { Session } from '../../smpp/session.ts'

/** A response counts as received if its session is still bound after this time. */
const confirmAfterMs = 1_000

type Acknowledged = { id: number; session: Session }

/**
 * Records which MOs the carrier need not send again. The record is written a second after the response, unless the session has
 * closed by then: the response may be lost with it, and a copy of the MO is then the same MO. Until it is written, an equal MO
 * that arrives while the session is bound is another text of the person.
 */
export class Acknowledgements {
  readonly #rt: { db: Db } & Pick<Runtime, 'clock' | 'log'>
  // by delivery key in hexadecimal
  readonly #pending = new Map<string, Acknowledged>()
  #timer: NodeJS.Timeout | undefined

  constructor(rt: { db: Db } & Pick<Runtime, 'clock' | 'log'>) {
    this.#rt = rt
  }

  /** Notes that the response to an MO was written to this session. */
  add(key: Buffer, id: number, session: Session): void {
    this.#pending.set(key.toString('hex'), { id, session })
    this.#timer ??= setTimeout(() => void this.flush(), confirmAfterMs).unref()
  }

  /** Records the acknowledgement of an MO with this key, if there is one, so that an equal MO is stored as another one. */
  async settle(key: Buffer): Promise<void> {
    const hex = key.toString('hex')
    const pending = this.#pending.get(hex)
    if (!pending || !isOpen(pending.session)) return
    await markAcknowledged(this.#rt.db, [pending.id], this.#rt.clock.now())
    if (this.#pending.get(hex) === pending) this.#pending.delete(hex)
  }

  /** Records all acknowledgements whose sessions are still bound. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const all = [...this.#pending]
    const ids = all.filter(([, { session }]) => isOpen(session)).map(([, { id }]) => id)
    try {
      if (ids.length > 0) await markAcknowledged(this.#rt.db, ids, this.#rt.clock.now())
      for (const [key, acknowledged] of all) if (this.#pending.get(key) === acknowledged) this.#pending.delete(key)
    } catch (error) {
      this.#rt.log.warn({ err: error }, 'failed to record acknowledgements, retrying')
      this.#timer ??= setTimeout(() => void this.flush(), confirmAfterMs).unref()
    }
  }
}

const isOpen = (session: Session) => session.bound
