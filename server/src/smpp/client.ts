import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { commandStatus, statusName } from './pdu/command-status.ts'
import { bind } from './pdu/pdu.ts'
import { Session } from './session.ts'
import type { SessionOptions } from './session.types.ts'

export type ConnectOptions = SessionOptions & {
  host: string
  port: number
  /** `true` uses TLS with the system's root certificates. An object is passed to node:tls (ca, servername, cert, key). */
  tls?: boolean | tls.ConnectionOptions
  system_id: string
  password: string
  system_type?: string
  bind?: 'transceiver' | 'transmitter' | 'receiver'
  /** Time limit from the first packet to the bind response. */
  connectTimeoutMs?: number
  signal?: AbortSignal
  /** Called with the socket before it is connected, for callers that log or measure its steps. */
  onSocket?: (socket: net.Socket) => void
}

/** The SMSC rejected the bind with `command_status`. */
export class BindError extends Error {
  override name = 'BindError'
  readonly command_status: number

  constructor(command_status: number) {
    super(`bind rejected: ${statusName(command_status)}`)
    this.command_status = command_status
  }
}

/**
 * Connects, binds and returns the bound session. Throws BindError if the SMSC rejects the bind, the socket's error, or a
 * TimeoutError after connectTimeoutMs. The session reads nothing between the bind response and the caller's continuation,
 * so listeners attached there receive every PDU.
 */
export async function connect(options: ConnectOptions): Promise<Session> {
  const deadline = AbortSignal.timeout(options.connectTimeoutMs ?? 10_000)
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline
  signal.throwIfAborted()
  const socket = openSocket(options)
  options.onSocket?.(socket)
  const abort = () => socket.destroy(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await once(socket, options.tls ? 'secureConnect' : 'connect')
    return await bindSession(new Session(socket, options), options)
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function openSocket({ host, port, tls: secure }: ConnectOptions): net.Socket {
  if (!secure) return net.connect({ host, port })
  const servername = net.isIP(host) ? {} : { servername: host }
  return tls.connect({ host, port, ...servername, ...(secure === true ? {} : secure) })
}

function bindSession(session: Session, options: ConnectOptions): Promise<Session> {
  const { system_id, password, system_type = '', bind: kind = 'transceiver' } = options
  return new Promise((resolve, reject) => {
    session.request(bind(`bind_${kind}`, { system_id, password, system_type }), (outcome) => {
      if (outcome.kind === 'timeout') reject(new Error('no response to the bind'))
      else if (outcome.kind === 'closed') reject(new Error(`closed during the bind: ${outcome.reason}`))
      else if (outcome.pdu.command_status !== commandStatus.ESME_ROK || !session.bound) {
        reject(new BindError(outcome.pdu.command_status))
      } else {
        session.pause()
        setImmediate(() => session.resume())
        resolve(session)
      }
    })
  })
}
