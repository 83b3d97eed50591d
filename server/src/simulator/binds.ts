import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { Bind } from '../smpp/pdu/pdu.ts'
import type { BindAnswer } from '../smpp/server.ts'
import type { Session } from '../smpp/session.ts'

export type BindInfo = { id: number; systemId: string; kind: Session['state']; since: number }

/** Who may bind; anybody where it was given none. */
export type Credentials = { systemId: string; password: string } | undefined

/** The sessions that are bound, by number. */
export class Binds {
  readonly #credentials: Credentials
  readonly #sessions = new Map<Session, BindInfo>()
  #lastId = 0

  constructor(credentials: Credentials) {
    this.#credentials = credentials
  }

  judge(bind: Bind, most: number | null): BindAnswer {
    const credentials = this.#credentials
    if (credentials && bind.system_id !== credentials.systemId) return { command_status: status.ESME_RINVSYSID }
    if (credentials && bind.password !== credentials.password) return { command_status: status.ESME_RINVPASWD }
    if (most !== null && this.#sessions.size >= most) return { command_status: status.ESME_RALYBND }
    return { command_status: status.ESME_ROK, system_id: 'carillon-simulator' }
  }

  add(session: Session, bind: Bind): BindInfo {
    const info = { id: ++this.#lastId, systemId: bind.system_id, kind: session.state, since: Date.now() }
    this.#sessions.set(session, info)
    session.once('close', () => this.#sessions.delete(session))
    return info
  }

  list(): BindInfo[] {
    return [...this.#sessions.values()]
  }

  /** Cuts one bind, or all: the connection is gone without a word. Says how many. */
  drop(id?: number): number {
    let dropped = 0
    for (const [session, info] of [...this.#sessions]) {
      if (id !== undefined && info.id !== id) continue
      session.destroy('dropped by control')
      dropped++
    }
    return dropped
  }
}
