import net from 'node:net'
import tls from 'node:tls'
import { commandStatus } from './pdu/command-status.ts'
import { type Bind, isBind } from './pdu/pdu.ts'
import { Session } from './session.ts'
import type { SessionOptions } from './session.types.ts'

export type BindDecision = { command_status: number; system_id?: string }

export type ServerOptions = SessionOptions & {
  /** Accepts or rejects a bind. The server sends the decision, and closes the socket of a rejected bind. */
  onBind(session: Session, bind: Bind): BindDecision | Promise<BindDecision>
  /** Called with a bound session; the bind response precedes all PDUs sent from here. */
  onSession(session: Session, bind: Bind): void
  /** Time after which a socket without a bind is closed (the spec's session_init_timer, §7.2). */
  bindDeadlineMs?: number
  /** Key and cert; with requestCert and ca, clients need a certificate, too. */
  tls?: tls.TlsOptions
}

const BIND_DEADLINE_MS = 10_000

export type SmppServer = {
  /** Every open session, bound or not. */
  readonly sessions: ReadonlySet<Session>
  listen(port: number, host: string): Promise<number>
  /** Stops listening, unbinds every session and resolves when all are closed. */
  close(): Promise<void>
}

/** Makes the SMSC's end: it accepts sockets and binds, and passes bound sessions to onSession. */
export function createServer(options: ServerOptions): SmppServer {
  const sessions = new Set<Session>()
  const accept = (socket: net.Socket) => acceptSession(socket, sessions, options)
  const { bindDeadlineMs = BIND_DEADLINE_MS } = options
  const listener = options.tls
    ? tls.createServer({ handshakeTimeout: bindDeadlineMs, ...options.tls }, accept)
    : net.createServer(accept)
  // Node emits this event for a handshake that takes too long, but does not close the socket
  listener.on('tlsClientError', (_error: Error, socket: net.Socket) => socket.destroy())
  // a socket during its TLS handshake has no session yet; close() must not wait for it
  const sockets = new Set<net.Socket>()
  listener.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  return {
    sessions,
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        listener.once('error', reject)
        listener.listen(port, host, () => {
          listener.off('error', reject)
          // an accept error (such as no free file descriptor) affects one socket only
          listener.on('error', () => {})
          resolve((listener.address() as net.AddressInfo).port)
        })
      }),
    close: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      await Promise.all([...sessions].map((session) => session.unbind()))
      for (const socket of sockets) socket.destroy()
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

  let isDeciding = false
  const onFirstRequest = async (request: object) => {
    const bind = request as Bind
    if (isDeciding || !isBind(bind)) return session.respond(bind, { command_status: commandStatus.ESME_RINVBNDSTS })
    isDeciding = true
    const decision = await decide(session, bind, options)
    clearTimeout(bindTimer)
    if (session.state === 'closed') return
    session.off('request', onFirstRequest)
    session.respond(bind, { system_id: '', ...decision })
    if (session.bound) options.onSession(session, bind)
    else await session.unbind()
  }
  session.on('request', onFirstRequest)
  session.once('close', () => {
    clearTimeout(bindTimer)
    sessions.delete(session)
  })
}

async function decide(session: Session, bind: Bind, options: ServerOptions): Promise<BindDecision> {
  try {
    return await options.onBind(session, bind)
  } catch {
    return { command_status: commandStatus.ESME_RSYSERR }
  }
}
