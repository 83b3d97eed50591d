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
  /** Number of submits when the drop rule was set. */
  submitsBeforeRule: number
}

/** The credentials of a bind; undefined accepts any. */
export type Credentials = { systemId: string; password: string } | undefined

/** The bound sessions and their numbers. */
export class Binds {
  readonly #credentials: Credentials
  readonly #sessions = new Map<Session, BindInfo>()
  #lastId = 0
  #dropRule: DropRule | null = null
  #dropsLeft = 0

  constructor(credentials: Credentials) {
    this.#credentials = credentials
  }

  decide(bind: Bind, maxBinds: number | null): BindDecision {
    const credentials = this.#credentials
    if (credentials && bind.system_id !== credentials.systemId) return { command_status: status.ESME_RINVSYSID }
    if (credentials && bind.password !== credentials.password) return { command_status: status.ESME_RINVPASWD }
    if (maxBinds !== null && this.#sessions.size >= maxBinds) return { command_status: status.ESME_RALYBND }
    return { command_status: status.ESME_ROK, system_id: 'carillon-simulator' }
  }

  add(session: Session, bind: Bind): BindInfo {
    const info = {
      id: ++this.#lastId,
      systemId: bind.system_id,
      kind: session.state,
      since: Date.now(),
      submits: 0,
      submitsBeforeRule: 0,
    }
    this.#sessions.set(session, info)
    session.once('close', () => this.#sessions.delete(session))
    return info
  }

  list(): BindInfo[] {
    return [...this.#sessions.values()]
  }

  /** Sets the rule that drops a bind at its n-th submit from now on. Setting the same rule object again has no effect. */
  dropAfter(rule: DropRule | null): void {
    if (rule === this.#dropRule) return
    this.#dropRule = rule
    this.#dropsLeft = rule?.times ?? Number.POSITIVE_INFINITY
    for (const info of this.#sessions.values()) info.submitsBeforeRule = info.submits
  }

  /** Counts a message of this bind, and drops the bind according to the rule. */
  submitted(session: Session, info: BindInfo): void {
    info.submits++
    const rule = this.#dropRule
    if (!rule || this.#dropsLeft === 0 || info.submits - info.submitsBeforeRule < rule.submits) return
    this.#dropsLeft--
    session.destroy('dropped by rule')
  }

  /** Destroys the sockets of one bind or of all binds, without an unbind. Returns the number of binds. */
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
