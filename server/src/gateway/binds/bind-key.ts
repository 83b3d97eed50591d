import type { Connection } from '../../connections/connection.ts'

/** Returns the settings that a bind uses when it is opened, as one string; a change of them requires a new bind. */
export function bindKeyOf(connection: Connection): string {
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
