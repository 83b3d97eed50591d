import net from 'node:net'
import tls from 'node:tls'
import { commandStatus } from './pdu/command-status.ts'
import { type Bind, isBind } from './pdu/pdu.ts'
import { Session, type SessionOptions } from './session.ts'

export type BindAnswer = { command_status: number; system_id?: string }

export type ServerOptions = SessionOptions & {
  /** Judges a bind. A refused one is answered and its connection closed. */
  onBind(session: Session, bind: Bind): BindAnswer | Promise<BindAnswer>
  /** A session that is bound; its bind response leaves before anything sent from here. */
  onSession(session: Session, bind: Bind): void
  /** A connection that has not bound by then is closed (the spec's session_init_timer, §7.2). */
  bindDeadlineMs?: number
  tls?: tls.TlsOptions
}

export type SmppServer = {
  /** Every open session, bound or not. */
  readonly sessions: ReadonlySet<Session>
  listen(port: number, host: string): Promise<number>
  /** Takes no more connections, unbinds every session and resolves when all are closed. */
  close(): Promise<void>
}

/** The SMSC's end: accepts connections and binds, and hands over bound sessions. */
export function createServer(options: ServerOptions): SmppServer {
  const sessions = new Set<Session>()
  const accept = (socket: net.Socket) => acceptSession(socket, sessions, options)
  const listener = options.tls ? tls.createServer(options.tls, accept) : net.createServer(accept)

  return {
    sessions,
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        listener.once('error', reject)
        listener.listen(port, host, () => {
          listener.off('error', reject)
          resolve((listener.address() as net.AddressInfo).port)
        })
      }),
    close: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      await Promise.all([...sessions].map((session) => session.unbind()))
      await closed
    },
  }
}

function acceptSession(socket: net.Socket, sessions: Set<Session>, options: ServerOptions) {
  const session = new Session(socket, options)
  sessions.add(session)
  const bindTimer = setTimeout(() => {
    if (!session.bound) session.destroy('no bind')
  }, options.bindDeadlineMs ?? 10_000)

  let judging = false
  const onFirstRequest = async (request: object) => {
    const bind = request as Bind
    if (judging || !isBind(bind)) return session.respond(bind, { command_status: commandStatus.ESME_RINVBNDSTS })
    judging = true
    const answer = await judge(session, bind, options)
    clearTimeout(bindTimer)
    if (session.state === 'closed') return
    session.off('request', onFirstRequest)
    session.respond(bind, { system_id: '', ...answer })
    if (session.bound) options.onSession(session, bind)
    else await session.unbind()
  }
  session.on('request', onFirstRequest)
  session.once('close', () => {
    clearTimeout(bindTimer)
    sessions.delete(session)
  })
}

async function judge(session: Session, bind: Bind, options: ServerOptions): Promise<BindAnswer> {
  try {
    return await options.onBind(session, bind)
  } catch {
    return { command_status: commandStatus.ESME_RSYSERR }
  }
}
