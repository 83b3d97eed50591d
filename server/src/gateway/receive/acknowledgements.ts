import type { Db } from '../../db/db.ts'
import { markAcknowledged } from '../../inbound/inbound.queries.ts'
import type { Runtime } from '../../runtime.ts'
import type { Session } from '../../smpp/session.ts'
import { timing } from '../timing.ts'

const { acknowledgedMs } = timing

/** MOs of a session that are remembered by their sequence numbers; SMSCs repeat a PDU soon or not at all. */
const maxRemembered = 1_000

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
  // by session and sequence number: the id and the key of the MO
  readonly #bySequence = new WeakMap<Session, Map<number, { id: number; key: string }>>()
  #timer: NodeJS.Timeout | undefined

  constructor(rt: { db: Db } & Pick<Runtime, 'clock' | 'log'>) {
    this.#rt = rt
  }

  /** Returns the id of the MO with this key that had this sequence number on this session: the SMSC repeats the PDU. */
  findRepeated(key: Buffer, session: Session, sequence: number): number | undefined {
    const known = this.#bySequence.get(session)?.get(sequence)
    return known?.key === key.toString('hex') ? known.id : undefined
  }

  /** Notes that the response to an MO was written to this session. */
  add(key: Buffer, id: number, session: Session, sequence: number): void {
    const hex = key.toString('hex')
    this.#pending.set(hex, { id, session })
    const ofSession = this.#bySequence.get(session) ?? new Map<number, { id: number; key: string }>()
    this.#bySequence.set(session, ofSession)
    if (ofSession.size >= maxRemembered) ofSession.clear()
    ofSession.set(sequence, { id, key: hex })
    this.#timer ??= setTimeout(() => void this.flush(), acknowledgedMs).unref()
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
      this.#timer ??= setTimeout(() => void this.flush(), acknowledgedMs).unref()
    }
  }
}

const isOpen = (session: Session) => session.bound
