import net from 'node:net'
import tls from 'node:tls'
import { commandStatus } from './pdu/command-status.ts'
import { type Bind, isBind } from './pdu/pdu.ts'
import { Session, type SessionOptions } from './session.ts'

export type BindDecision = { command_status: number; system_id?: string }

export type ServerOptions = SessionOptions & {
  /** Judges a bind. A refused one is answered and its connection closed. */
  onBind(session: Session, bind: Bind): BindDecision | Promise<BindDecision>
  /** A session that is bound; its bind response leaves before anything sent from here. */
  onSession(session: Session, bind: Bind): void
  /** A connection that has not bound by then is closed (the spec's session_init_timer, §7.2). */
  bindDeadlineMs?: number
  /** With key and cert; with requestCert and ca, clients need a certificate too. */
  tls?: tls.TlsOptions
}

const BIND_DEADLINE_MS = 10_000

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
  const { bindDeadlineMs = BIND_DEADLINE_MS } = options
  const listener = options.tls
    ? tls.createServer({ handshakeTimeout: bindDeadlineMs, ...options.tls }, accept)
    : net.createServer(accept)
  // Node tells of a handshake that takes too long, and leaves its connection open.
  listener.on('tlsClientError', (_error: Error, socket: net.Socket) => socket.destroy())
  // Connections whose handshake is not over are no sessions yet, and close() must not wait for them.
  const connections = new Set<net.Socket>()
  listener.on('connection', (socket: net.Socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })

  return {
    sessions,
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        listener.once('error', reject)
        listener.listen(port, host, () => {
          listener.off('error', reject)
          // A connection that cannot be accepted (no file descriptor is left) costs that connection only.
          listener.on('error', () => {})
          resolve((listener.address() as net.AddressInfo).port)
        })
      }),
    close: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      await Promise.all([...sessions].map((session) => session.unbind()))
      for (const socket of connections) socket.destroy()
      await closed
    },
  }
}

function acceptSession(socket: net.Socket, sessions: Set<Session>, options: ServerOptions) {
  const session = new Session(socket, options)
  sessions.add(session)
  const bindTimer = setTimeout(() => {
    if (!session.bound) session.destroy('no bind')
  }, options.bindDeadlineMs ?? BIND_DEADLINE_MS)

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

async function judge(session: Session, bind: Bind, options: ServerOptions): Promise<BindDecision> {
  try {
    return await options.onBind(session, bind)
  } catch {
    return { command_status: commandStatus.ESME_RSYSERR }
  }
}
