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

/** A connection that cannot be used as it is; the message is a sentence for the operator. */
export class UnusableConnection extends Error {}

/**
 * The connections that could be bound to, enabled or not, with their secrets opened. Those without an address are left
 * out, and in the sandbox all that lead away from this machine. One that cannot be used is told to `onUnusable`; where
 * nobody listens, secrets that do not open throw.
 */
export async function loadConnections(
  { db, config }: LoadOptions,
  onUnusable?: (connection: { id: number; name: string }, why: string) => void,
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

/** The connection of a row with its secrets opened; throws an UnusableConnection or a SealError, with a sentence. */
export function openConnection(row: ConnectionRow, config: LoadOptions['config']): Connection {
  const { host, port } = row
  if (host === null || port === null) throw new UnusableConnection(`Connection ${row.name} has no address yet.`)
  if (config.mode === 'sandbox' && !isLoopbackHost(host)) {
    throw new UnusableConnection(`Connection ${row.name} leads away from this machine, which the sandbox refuses.`)
  }
  const sealer = makeSealer(config)
  return { ...row, host, port, password: readPassword(row, sealer, config.smpp), tlsKey: readTlsKey(row, sealer) }
}

/** Why a row cannot be used, as far as this process can tell; null when it can. */
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
 * Refuses to go on without a key where somebody has sealed secrets of connections that are in use: these would be silent
 * for no reason seen.
 */
export async function requireSecretKey({ db, config }: LoadOptions): Promise<void> {
  if (config.secretKey) return
  const names = (await listUnsealable({ db, config })).filter(({ enabled }) => enabled).map(({ name }) => name)
  if (names.length === 0) return
  throw new ConfigError([
    `CARILLON_SECRET_KEY is needed: secrets of connections are sealed (${names.join(', ')}). ${secretKeyHint}`,
  ])
}

/** The connections that have a secret which this key, or none, does not open; that of the environment needs none. */
export async function listUnreadableConnections(given: Unsealing): Promise<string[]> {
  return (await listUnsealable(given)).map(({ name }) => name)
}

type Unsealing = Pick<LoadOptions, 'db'> & { config: Pick<Config, 'secretKey'> }

async function listUnsealable({ db, config }: Unsealing): Promise<ConnectionRow[]> {
  const sealer = makeSealer(config)
  const opens = (sealed: Buffer | null) => sealed === null || sealer?.sealed(sealed) === true
  const rows = await listConnections(db)
  return rows.filter((row) => !row.fromEnvironment && !(opens(row.password) && opens(row.tlsKey)))
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
