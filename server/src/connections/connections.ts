import type { Config } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import type { Db } from '../db/db.ts'
import { isLoopbackHost } from '../lib/address-ranges.ts'
import { SealError, type Sealer } from '../lib/seal.ts'
import type { Connection } from './connection.ts'
import { type ConnectionRow, listConnections } from './connections.queries.ts'
import { openSecret, sealerOf } from './secrets.ts'

export type LoadOptions = {
  db: Db
  config: Pick<Config, 'mode' | 'smpp' | 'secretKey'>
}

/**
 * The connections that could be bound to, enabled or not, with their secrets opened. Those without an address are left
 * out, and in the sandbox all that lead away from this machine. One whose secrets do not open is left out and told to
 * `onUnusable` with a sentence; where nobody listens, the first such one throws.
 */
export async function loadConnections(
  { db, config }: LoadOptions,
  onUnusable?: (connection: { id: number; name: string }, why: string) => void,
): Promise<Connection[]> {
  const sealer = sealerOf(config)
  const connections: Connection[] = []
  for (const row of await listConnections(db)) {
    if (row.host === null || row.port === null) continue
    if (config.mode === 'sandbox' && !isLoopbackHost(row.host)) continue
    try {
      const secrets = { password: readPassword(row, sealer, config.smpp), tlsKey: readTlsKey(row, sealer) }
      connections.push({ ...row, host: row.host, port: row.port, ...secrets })
    } catch (error) {
      if (!onUnusable || !(error instanceof SealError)) throw error
      onUnusable(row, error.message)
    }
  }
  return connections
}

/** A process that has no key, or another one than who wrote the row, still knows the password of its environment. */
function readPassword(row: ConnectionRow, sealer: Sealer | undefined, smpp: Config['smpp']): Secret {
  const fallback = row.fromEnvironment ? smpp?.password : undefined
  if (row.password === null) {
    if (fallback || !row.fromEnvironment) return fallback ?? new Secret('')
    throw new SealError(`The password of connection ${row.name} is in CARILLON_SMPP_URL, which is not set here.`)
  }
  try {
    return openSecret(sealer, row.name, 'password', row.password)
  } catch (error) {
    if (fallback && error instanceof SealError) return fallback
    throw error
  }
}

function readTlsKey(row: ConnectionRow, sealer: Sealer | undefined): Secret | null {
  return row.tlsKey && openSecret(sealer, row.name, 'tls_key', row.tlsKey)
}
