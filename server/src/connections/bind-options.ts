import type { ConnectOptions } from '../smpp/client.ts'
import type { Connection } from './connection.ts'

/** The binds of one slot, by bind type. */
export const bindsOf = {
  transceiver: ['transceiver'],
  pair: ['transmitter', 'receiver'],
  transmitter: ['transmitter'],
  receiver: ['receiver'],
} as const

/** Returns the address, TLS settings and credentials of a connection for the SMPP client. */
export function bindOptions(connection: Connection) {
  const { host, port, systemId, systemType, password } = connection
  return {
    host,
    port,
    tls: tlsOptions(connection),
    system_id: systemId,
    password: password.reveal(),
    system_type: systemType,
  } satisfies ConnectOptions
}

function tlsOptions({
  tls,
  tlsCa,
  tlsServerName,
  tlsCertificate,
  tlsKey,
}: Connection): NonNullable<ConnectOptions['tls']> {
  if (!tls) return false
  return {
    ...(tlsCa === null ? {} : { ca: tlsCa }),
    ...(tlsServerName === null ? {} : { servername: tlsServerName }),
    ...(tlsCertificate === null ? {} : { cert: tlsCertificate }),
    ...(tlsKey === null ? {} : { key: tlsKey.reveal() }),
  }
}
