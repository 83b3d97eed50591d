import { type Config, ConfigError } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import type { Db } from '../db/db.ts'
import { isLoopbackHost } from '../lib/address-ranges.ts'
import { SealError, type Sealer } from '../lib/seal.ts'
import type { Connection } from './connection.ts'
import { type ConnectionRow, listConnections } from './connections.queries.ts'
import { makeSealer, openSecret, secretKeyHint } from './secrets.ts'

export type LoadOptions = {
  db: Db
  config: Pick<Config, 'mode' | 'smpp' | 'secretKey'>
}

/** Thrown for a connection whose settings prevent its use; the message is for the operator. */
export class UnusableConnection extends Error {}

/**
 * Returns the usable connections, including disabled ones, with decrypted secrets. It skips connections without an address,
 * in the sandbox connections to other machines, and those with a secret that it cannot decrypt, and passes each skipped
 * connection to `onUnusable`. Without that callback, a secret that cannot be decrypted throws a SealError.
 */
export async function loadConnections(
  { db, config }: LoadOptions,
  onUnusable?: (connection: { id: number; name: string }, reason: string) => void,
): Promise<Connection[]> {
  const connections: Connection[] = []
  for (const row of await listConnections(db)) {
    try {
      connections.push(openConnection(row, config))
    } catch (error) {
      if (error instanceof SealError && !onUnusable) throw error
      if (!isUnusable(error)) throw error
      onUnusable?.(row, error.message)
    }
  }
  return connections
}

/** Returns the connection of a row with decrypted secrets; throws an UnusableConnection or a SealError. */
export function openConnection(row: ConnectionRow, config: LoadOptions['config']): Connection {
  const { host, port } = row
  if (host === null || port === null) throw new UnusableConnection(`Connection ${row.name} has no address yet.`)
  if (config.mode === 'sandbox' && !isLoopbackHost(host)) {
    throw new UnusableConnection(
      `Connection ${row.name} is not on this machine (${host}); sandbox mode allows loopback addresses only.`,
    )
  }
  const sealer = makeSealer(config)
  return { ...row, host, port, password: readPassword(row, sealer, config.smpp), tlsKey: readTlsKey(row, sealer) }
}

/** Returns the reason for which this process cannot use the connection of a row; null if it can. */
export function problemOf(row: ConnectionRow, config: LoadOptions['config']): string | null {
  try {
    openConnection(row, config)
    return null
  } catch (error) {
    if (isUnusable(error)) return error.message
    throw error
  }
}

function isUnusable(error: unknown): error is Error {
  return error instanceof SealError || error instanceof UnusableConnection
}

/**
 * Throws a ConfigError if this process has no secret key and an enabled connection has a sealed secret; otherwise it would
 * never bind, and only the log would contain the reason.
 */
export async function requireSecretKey({ db, config }: LoadOptions): Promise<void> {
  if (config.secretKey) return
  const names = (await listUnreadable({ db, config })).filter(({ enabled }) => enabled).map(({ name }) => name)
  if (names.length === 0) return
  throw new ConfigError([
    `CARILLON_SECRET_KEY is required: secrets of connections are sealed (${names.join(', ')}). ${secretKeyHint}`,
  ])
}

/**
 * Returns the names of connections with a secret that this process cannot decrypt, without the connection of
 * CARILLON_SMPP_URL, whose password is in the environment.
 */
export async function listUnreadableConnections(options: UnreadableOptions): Promise<string[]> {
  return (await listUnreadable(options)).map(({ name }) => name)
}

type UnreadableOptions = Pick<LoadOptions, 'db'> & { config: Pick<Config, 'secretKey'> }

async function listUnreadable({ db, config }: UnreadableOptions): Promise<ConnectionRow[]> {
  const sealer = makeSealer(config)
  const isReadable = (sealed: Buffer | null) => sealed === null || sealer?.sealed(sealed) === true
  const rows = await listConnections(db)
  return rows.filter((row) => !row.fromEnvironment && !(isReadable(row.password) && isReadable(row.tlsKey)))
}

/** Decrypts the password. A process without the right secret key falls back to the password of CARILLON_SMPP_URL. */
function readPassword(row: ConnectionRow, sealer: Sealer | undefined, smpp: Config['smpp']): Secret {
  const fallback = row.fromEnvironment ? smpp?.password : undefined
  if (row.password === null) {
    if (fallback || !row.fromEnvironment) return fallback ?? new Secret('')
    throw new SealError(
      `The password of connection ${row.name} is in CARILLON_SMPP_URL, which is not set for this process.`,
    )
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
