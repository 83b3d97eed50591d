import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/config.ts'
import type { Secret } from '../config/secret.ts'
import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { wake } from '../db/wake.ts'
import { errors } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { SealError, type Sealer } from '../lib/seal.ts'
import type { Connection } from './connection.ts'
import {
  addConnection,
  type ConnectionRow,
  type ConnectionSettings,
  deleteConnection,
  type EnvironmentName,
  findConnectionByName,
  findConnectionUses,
  lockConnection,
  lockConnectionByName,
  pickSettings,
  updateConnection,
} from './connections.queries.ts'
import { environmentName } from './environment.ts'
import { makeSealer, matchesSecret, openSecret, type SecretField, sealSecret, secretKeyHint } from './secrets.ts'
import { type CheckedSettings, findSettingErrors, type OwnTls } from './validation.ts'

type Options = { db: Db; clock: Clock; config: Pick<Config, 'mode' | 'secretKey'> }

/** The settings to change; undefined settings do not change. */
export type ConnectionChange = {
  [K in keyof Omit<Connection, 'id' | 'fromEnvironment' | 'version'>]?: Connection[K] | undefined
}

/** Creates a connection; gateways bind to it immediately unless it is disabled. Throws a 422 if a setting is invalid. */
export async function createConnection(
  { db, clock, config }: Options,
  change: ConnectionChange & { name: string; host: string },
): Promise<ConnectionRow> {
  const { tlsCertificate: certificate = null, tlsKey: key = null } = change
  const port = change.port ?? (change.tls ? 3_550 : 2_775)
  validate({ ...change, ownTls: { certificate, key } }, config)
  if (change.password || key) requireSealer(config)
  return db.tx(async (tx) => {
    // selected first, because a conflicting insert would use up an id; the insert decides between concurrent calls
    if (await findConnectionByName(tx, change.name)) throw errors.connectionNameTaken()
    if ((await addConnection(tx, change.name, clock.now())) === 0) throw errors.connectionNameTaken()
    const row = await lockConnectionByName(tx, change.name)
    if (!row) throw new Error('the inserted connection was not found')
    await wake(tx, 'connections')
    return updateConnection(tx, row.id, applyChange(row, { ...change, port }, config), clock.now())
  })
}

/**
 * Changes a connection; gateways apply the change within a second, without a restart. Throws a 422 and changes nothing if a
 * setting is invalid.
 */
export async function changeConnection({ db, clock, config }: Options, id: number, change: ConnectionChange) {
  try {
    return await db.tx(async (tx) => {
      const row = await lockConnection(tx, id)
      if (!row) throw errors.connectionNotFound()
      if (row.fromEnvironment) rejectEnvironmentSettings(row, change)
      const complete = withOwnTls(row, change, makeSealer(config))
      validate({ ...complete, name: change.name === row.name ? undefined : change.name }, config)
      const settings = applyChange(row, complete, config)
      if (isDeepStrictEqual(settings, pickSettings(row))) return row
      await wake(tx, 'connections')
      return await updateConnection(tx, id, settings, clock.now())
    })
  } catch (error) {
    throw violates(error, 'connections_name_key') ? errors.connectionNameTaken() : error
  }
}

/**
 * Deletes a connection without traffic; throws a 422 if it is in use. A connection that has sent or received texts can only
 * be disabled, because their rows refer to it and receipts may still arrive.
 */
export async function removeConnection({ db }: Pick<Options, 'db'>, id: number): Promise<void> {
  try {
    await db.tx(async (tx) => {
      await assertUnused(tx, id, await lockConnection(tx, id))
      await deleteConnection(tx, id)
      await wake(tx, 'connections')
    })
  } catch (error) {
    // its first text came while its row was locked, so that it is not marked as used
    throw references.some((name) => violates(error, name)) ? hasCarriedTexts() : error
  }
}

/** The references of rows to the connection that received them. */
const references = ['inbound_messages_connection_id_fkey', 'receipts_connection_id_fkey']

function hasCarriedTexts(): Error {
  return errors.connectionInUse('It has sent or received texts, and their rows refer to it; disable it instead')
}

async function assertUnused(db: Db, id: number, row: ConnectionRow | undefined): Promise<void> {
  if (!row) throw errors.connectionNotFound()
  if (row.fromEnvironment) throw errors.connectionInUse('It belongs to CARILLON_SMPP_URL; disable it instead')
  if (row.enabled) throw errors.connectionInUse('It is enabled; disable it first')
  const uses = await findConnectionUses(db, id)
  if (uses.bound) throw errors.connectionInUse('A gateway is still bound to it; retry in a moment')
  if (uses.shortCodes.length > 0) {
    throw errors.connectionInUse(`Shortcodes send through it: ${uses.shortCodes.join(', ')}`)
  }
  if (row.isUsed) throw hasCarriedTexts()
}

function validate(settings: CheckedSettings, { mode }: Pick<Config, 'mode'>) {
  if (settings.name === environmentName) {
    throw errors.invalid({ 'connection.name': ['is reserved for the connection of CARILLON_SMPP_URL'] })
  }
  const found = Object.entries(findSettingErrors(settings, mode))
  if (found.length === 0) return
  throw errors.invalid(Object.fromEntries(found.map(([field, error]) => [`connection.${field}`, [error]])))
}

/** Throws a 422 if the change includes settings of CARILLON_SMPP_URL, because the next start of a gateway would revert them. */
function rejectEnvironmentSettings(row: ConnectionRow, change: ConnectionChange) {
  const changes = (name: EnvironmentName) =>
    row.environmentNames.includes(name) && change[name] !== undefined && change[name] !== row[name]
  const named = {
    name: change.name !== undefined && change.name !== row.name,
    host: change.host !== undefined && change.host !== row.host,
    port: change.port !== undefined && change.port !== row.port,
    tls: change.tls !== undefined && change.tls !== row.tls,
    system_id: change.systemId !== undefined && change.systemId !== row.systemId,
    password: change.password !== undefined,
    window: changes('window'),
    mps: changes('mps'),
    slots: changes('slots'),
  }
  const rejected = Object.entries(named).filter(([, isChanged]) => isChanged)
  if (rejected.length === 0) return
  throw errors.invalid(
    Object.fromEntries(
      rejected.map(([field]) => [`connection.${field}`, ['is set by CARILLON_SMPP_URL; change it there']]),
    ),
  )
}

/** Adds the resulting certificate and key to a change of either. Removing the certificate also removes the key. */
function withOwnTls(
  row: ConnectionRow,
  change: ConnectionChange,
  sealer: Sealer | undefined,
): ConnectionChange & { ownTls?: OwnTls } {
  if (change.tlsCertificate === undefined && change.tlsKey === undefined) return change
  const certificate = change.tlsCertificate === undefined ? row.tlsCertificate : change.tlsCertificate
  const tlsKey = change.tlsKey === undefined && certificate === null ? null : change.tlsKey
  const key = tlsKey === undefined ? openStoredKey(row, sealer) : tlsKey
  return { ...change, tlsKey, ownTls: { certificate, key } }
}

function openStoredKey(row: ConnectionRow, sealer: Sealer | undefined): Secret | null {
  try {
    return row.tlsKey && openSecret(sealer, row.name, 'tls_key', row.tlsKey)
  } catch (error) {
    throw error instanceof SealError ? errors.connectionUnusable(error.message) : error
  }
}

function applyChange(row: ConnectionRow, change: ConnectionChange, config: Options['config']): ConnectionSettings {
  const settings = pickSettings(row)
  const given = Object.entries(change).filter(([key, value]) => value !== undefined && Object.hasOwn(settings, key))
  const { password, tlsKey } = change
  return {
    ...settings,
    ...Object.fromEntries(given),
    password: reseal(config, 'password', row.password, password) ?? null,
    tlsKey: tlsKey === null ? null : reseal(config, 'tls_key', row.tlsKey, tlsKey),
  }
}

/** Returns the sealed secret after a change, with identical bytes if the secret did not change. */
function reseal(config: Options['config'], field: SecretField, stored: Buffer | null, secret: Secret | undefined) {
  if (secret === undefined) return stored
  const sealer = requireSealer(config)
  return stored && matchesSecret(sealer, field, stored, secret) ? stored : sealSecret(sealer, field, secret)
}

function requireSealer(config: Options['config']): Sealer {
  const sealer = makeSealer(config)
  if (!sealer) throw errors.noSecretKey(secretKeyHint)
  return sealer
}
