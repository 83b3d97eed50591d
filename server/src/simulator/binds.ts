import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { Bind } from '../smpp/pdu/pdu.ts'
import type { BindDecision } from '../smpp/server.ts'
import type { Session } from '../smpp/session.ts'
import type { DropRule } from './settings.ts'

export type BindInfo = {
  id: number
  systemId: string
  kind: Session['state']
  since: number
  submits: number
  /** Its submits when the drop rule began to count. */
  counted: number
}

/** Who may bind; anybody where it was given none. */
export type Credentials = { systemId: string; password: string } | undefined

/** The sessions that are bound, by number. */
export class Binds {
  readonly #credentials: Credentials
  readonly #sessions = new Map<Session, BindInfo>()
  #lastId = 0
  #dropRule: DropRule | null = null
  #dropsLeft = 0

  constructor(credentials: Credentials) {
    this.#credentials = credentials
  }

  judge(bind: Bind, most: number | null): BindDecision {
    const credentials = this.#credentials
    if (credentials && bind.system_id !== credentials.systemId) return { command_status: status.ESME_RINVSYSID }
    if (credentials && bind.password !== credentials.password) return { command_status: status.ESME_RINVPASWD }
    if (most !== null && this.#sessions.size >= most) return { command_status: status.ESME_RALYBND }
    return { command_status: status.ESME_ROK, system_id: 'carillon-simulator' }
  }

  add(session: Session, bind: Bind): BindInfo {
    const info = {
      id: ++this.#lastId,
      systemId: bind.system_id,
      kind: session.state,
      since: Date.now(),
      submits: 0,
      counted: 0,
    }
    this.#sessions.set(session, info)
    session.once('close', () => this.#sessions.delete(session))
    return info
  }

  list(): BindInfo[] {
    return [...this.#sessions.values()]
  }

  /** From now on each bind is cut at its so manieth submit, or none. A rule that is in force already goes on counting. */
  dropAfter(rule: DropRule | null): void {
    if (rule === this.#dropRule) return
    this.#dropRule = rule
    this.#dropsLeft = rule?.times ?? Number.POSITIVE_INFINITY
    for (const info of this.#sessions.values()) info.counted = info.submits
  }

  /** A message came over this bind; the one that the drop rule waits for is its last. */
  submitted(session: Session, info: BindInfo): void {
    info.submits++
    const rule = this.#dropRule
    if (!rule || this.#dropsLeft === 0 || info.submits - info.counted < rule.submits) return
    this.#dropsLeft--
    session.destroy('dropped by rule')
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
