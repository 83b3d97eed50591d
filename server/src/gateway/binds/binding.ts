import type { Connection } from '../../connections/connection.ts'

/** The settings that a bind is made with, as one string: when it changes, only a new bind has them. */
export function bindingOf(connection: Connection): string {
  const { host, port, tls, tlsCa, tlsServerName, tlsCertificate, systemId, systemType, bindType } = connection
  const secrets = [connection.password.reveal(), connection.tlsKey?.reveal()]
  return JSON.stringify([
    host,
    port,
    tls,
    tlsCa,
    tlsServerName,
    tlsCertificate,
    systemId,
    systemType,
    bindType,
    secrets,
  ])
}
