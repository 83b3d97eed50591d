import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/config.ts'
import type { Secret } from '../config/secret.ts'
import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { wake } from '../db/wake.ts'
import { errors } from '../errors.ts'
import { SealError, type Sealer } from '../lib/seal.ts'
import type { Connection } from './connection.ts'
import {
  addConnection,
  type ConnectionRow,
  type ConnectionSettings,
  deleteConnection,
  type EnvironmentName,
  findConnection,
  findConnectionByName,
  findConnectionUses,
  hasTraffic,
  lockConnection,
  lockConnectionByName,
  pickSettings,
  updateConnection,
} from './connections.queries.ts'
import { environmentName } from './environment.ts'
import { makeSealer, matchesSecret, openSecret, type SecretField, sealSecret, secretKeyHint } from './secrets.ts'
import { type CheckedSettings, findSettingErrors, type OwnTls } from './validation.ts'

type Given = { db: Db; config: Pick<Config, 'mode' | 'secretKey'> }

/** What changes; undefined stays as it is. */
export type ConnectionChange = {
  [K in keyof Omit<Connection, 'id' | 'fromEnvironment' | 'version'>]?: Connection[K] | undefined
}

/** Makes a connection; gateways bind to it at once unless it is disabled. */
export async function createConnection(
  { db, config }: Given,
  change: ConnectionChange & { name: string; host: string },
): Promise<ConnectionRow> {
  const { tlsCertificate: certificate = null, tlsKey: key = null } = change
  const port = change.port ?? (change.tls ? 3_550 : 2_775)
  check({ ...change, ownTls: { certificate, key } }, config)
  if (change.password || key) needSealer(config)
  return db.tx(async (tx) => {
    // looked for first, because an insert in vain takes an id; of two at once the insert decides
    if (await findConnectionByName(tx, change.name)) throw errors.connectionNameTaken()
    if ((await addConnection(tx, change.name)) === 0) throw errors.connectionNameTaken()
    const row = await lockConnectionByName(tx, change.name)
    if (!row) throw new Error('a connection that was just made is gone')
    await wake(tx, 'connections')
    return updateConnection(tx, row.id, applyChange(row, { ...change, port }, config))
  })
}

/** Changes a connection for all gateways, within a second and without a restart: all of the change, or nothing of it. */
export async function changeConnection({ db, config }: Given, id: number, change: ConnectionChange) {
  try {
    return await db.tx(async (tx) => {
      const row = await lockConnection(tx, id)
      if (!row) throw errors.connectionNotFound()
      if (row.fromEnvironment) refuseOfEnvironment(row, change)
      const whole = withOwnTls(row, change, makeSealer(config))
      check({ ...whole, name: change.name === row.name ? undefined : change.name }, config)
      const settings = applyChange(row, whole, config)
      if (isDeepStrictEqual(settings, pickSettings(row))) return row
      await wake(tx, 'connections')
      return await updateConnection(tx, id, settings)
    })
  } catch (error) {
    throw violates(error, 'connections_name_key') ? errors.connectionNameTaken() : error
  }
}

/**
 * Removes a connection that has never carried anything. What it carried is known by its name, and receipts still come
 * for it, so any other one can only be disabled.
 */
export async function removeConnection({ db }: Pick<Given, 'db'>, id: number): Promise<void> {
  const { version } = await refuseUsed(db, id, await findConnection(db, id))
  // unused and disabled, it carries nothing unless it is changed, and then it has another version
  if (await hasTraffic(db, id)) {
    throw errors.connectionInUse('It has carried texts, whose records name it; leave it disabled')
  }
  await db.tx(async (tx) => {
    const row = await refuseUsed(tx, id, await lockConnection(tx, id))
    if (row.version !== version) throw errors.connectionInUse('It was changed just now; try again')
    await deleteConnection(tx, id)
    await wake(tx, 'connections')
  })
}

async function refuseUsed(db: Db, id: number, row: ConnectionRow | undefined): Promise<ConnectionRow> {
  if (!row) throw errors.connectionNotFound()
  if (row.fromEnvironment) throw errors.connectionInUse('It is that of CARILLON_SMPP_URL; it can be disabled')
  if (row.enabled) throw errors.connectionInUse('It is enabled; disable it first')
  const uses = await findConnectionUses(db, id)
  if (uses.bound) throw errors.connectionInUse('A gateway is still bound to it; try again in a moment')
  if (uses.shortCodes.length > 0) {
    throw errors.connectionInUse(`Shortcodes are routed through it: ${uses.shortCodes.join(', ')}`)
  }
  return row
}

function check(given: CheckedSettings, { mode }: Pick<Config, 'mode'>) {
  if (given.name === environmentName) {
    throw errors.invalid({ 'connection.name': ['is kept for the connection of CARILLON_SMPP_URL'] })
  }
  const faults = Object.entries(findSettingErrors(given, mode))
  if (faults.length === 0) return
  throw errors.invalid(Object.fromEntries(faults.map(([field, why]) => [`connection.${field}`, [why]])))
}

/** Everything else of that connection may be set; what the URL names comes back with the next start. */
function refuseOfEnvironment(row: ConnectionRow, change: ConnectionChange) {
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
  const refused = Object.entries(named).filter(([, isRefused]) => isRefused)
  if (refused.length === 0) return
  throw errors.invalid(
    Object.fromEntries(
      refused.map(([field]) => [`connection.${field}`, ['is set by CARILLON_SMPP_URL; change it there']]),
    ),
  )
}

/** The change with our certificate and key as a pair, where it touches either: without a certificate there is no key. */
function withOwnTls(
  row: ConnectionRow,
  change: ConnectionChange,
  sealer: Sealer | undefined,
): ConnectionChange & { ownTls?: OwnTls } {
  if (change.tlsCertificate === undefined && change.tlsKey === undefined) return change
  const certificate = change.tlsCertificate === undefined ? row.tlsCertificate : change.tlsCertificate
  const tlsKey = change.tlsKey === undefined && certificate === null ? null : change.tlsKey
  const key = tlsKey === undefined ? openKept(row, sealer) : tlsKey
  return { ...change, tlsKey, ownTls: { certificate, key } }
}

function openKept(row: ConnectionRow, sealer: Sealer | undefined): Secret | null {
  try {
    return row.tlsKey && openSecret(sealer, row.name, 'tls_key', row.tlsKey)
  } catch (error) {
    throw error instanceof SealError ? errors.connectionUnusable(error.message) : error
  }
}

function applyChange(row: ConnectionRow, change: ConnectionChange, config: Given['config']): ConnectionSettings {
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

/** What is kept sealed after a change; the same bytes where the secret is the same. */
function reseal(config: Given['config'], field: SecretField, kept: Buffer | null, given: Secret | undefined) {
  if (given === undefined) return kept
  const sealer = needSealer(config)
  return kept && matchesSecret(sealer, field, kept, given) ? kept : sealSecret(sealer, field, given)
}

function needSealer(config: Given['config']): Sealer {
  const sealer = makeSealer(config)
  if (!sealer) throw errors.noSecretKey(secretKeyHint)
  return sealer
}
