import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { commandStatus, statusName } from './pdu/command-status.ts'
import { bind } from './pdu/pdu.ts'
import { Session, type SessionOptions } from './session.ts'

export type ConnectOptions = SessionOptions & {
  host: string
  port: number
  /** TLS with the system's roots; an object goes to node:tls: ca instead of those, servername, a client's cert and key. */
  tls?: boolean | tls.ConnectionOptions
  system_id: string
  password: string
  system_type?: string
  bind?: 'transceiver' | 'transmitter' | 'receiver'
  /** From the first packet to the bind response. */
  connectTimeoutMs?: number
  signal?: AbortSignal
  /** Called with the socket before it is connected, for who wants to follow its steps. */
  onSocket?: (socket: net.Socket) => void
}

/** The SMSC answered the bind, with a refusal. */
export class BindError extends Error {
  override name = 'BindError'
  readonly command_status: number

  constructor(command_status: number) {
    super(`bind refused: ${statusName(command_status)}`)
    this.command_status = command_status
  }
}

/**
 * A bound session. Throws BindError when the SMSC refuses, else what went wrong on the way, in time. Nothing is read
 * between the bind response and the caller's continuation, so listeners attached there miss nothing.
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
      if (outcome.kind === 'timeout') reject(new Error('no answer to the bind'))
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
