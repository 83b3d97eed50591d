import type { Db } from '../db/db.ts'
import { assignmentsOf, param, raw, sql } from '../db/sql.ts'
import type { Connection } from './connection.ts'

/** A row of `connections`, with sealed secrets; it may have no address. */
export type ConnectionRow = Omit<Connection, 'host' | 'port' | 'tlsKey' | 'password'> & {
  host: string | null
  port: number | null
  tlsKey: Buffer | null
  password: Buffer | null
  /** The settings that CARILLON_SMPP_URL has in addition to the address, in the order of the type. */
  environmentNames: EnvironmentName[]
  /** Whether it has carried a text. */
  isUsed: boolean
  createdAt: Date
  updatedAt: Date
}

/** Settings that CARILLON_SMPP_URL may have; otherwise operators set them. */
export type EnvironmentName = 'window' | 'mps' | 'slots'

/** The settings of an operator and their columns. */
const settingColumns = {
  name: 'name',
  enabled: 'enabled',
  servesAll: 'serves_all',
  host: 'host',
  port: 'port',
  tls: 'tls',
  tlsCa: 'tls_ca',
  tlsServerName: 'tls_server_name',
  tlsCertificate: 'tls_certificate',
  tlsKey: 'tls_key',
  systemId: 'system_id',
  password: 'password',
  systemType: 'system_type',
  bindType: 'bind_type',
  slots: 'slots',
  window: 'window',
  mps: 'mps',
  carrierMps: 'carrier_mps',
  charset: 'charset',
  longText: 'long_text',
  serviceType: 'service_type',
  sourceTon: 'source_ton',
  sourceNpi: 'source_npi',
  destTon: 'dest_ton',
  destNpi: 'dest_npi',
  validityS: 'validity_s',
  validityPeriod: 'validity_period',
  responseDeadlineMs: 'response_deadline_ms',
  receiptDeadlineS: 'receipt_deadline_s',
  enquireLinkS: 'enquire_link_s',
  receiptIdForm: 'receipt_id_form',
  receipts: 'receipts',
  errorMap: 'error_map',
  querySm: 'query_sm',
  queryAfterS: 'query_after_s',
} as const satisfies { [K in keyof ConnectionRow]?: string }

export type ConnectionSettings = Pick<ConnectionRow, keyof typeof settingColumns>

const settingNames = Object.keys(settingColumns) as (keyof ConnectionSettings)[]

/** Returns the settings of a row without its other columns. */
export function pickSettings(row: ConnectionSettings): ConnectionSettings {
  return Object.fromEntries(settingNames.map((name) => [name, row[name]])) as ConnectionSettings
}

const columns = /* sql */ `
  id, from_environment as "fromEnvironment", environment_names as "environmentNames", version, is_used as "isUsed",
  created_at as "createdAt", updated_at as "updatedAt",
  ${settingNames.map((name) => `"${settingColumns[name]}" as "${name}"`).join(', ')}`

/** Returns all connections, oldest first. */
export function listConnections(db: Db) {
  return db.many<ConnectionRow>('list_connections', /* sql */ `select ${columns} from connections order by id`)
}

export function findConnection(db: Db, id: number) {
  return db.maybeOne<ConnectionRow>(
    'find_connection',
    /* sql */ `select ${columns} from connections where id = $1::bigint`,
    [id],
  )
}

export function findConnectionByName(db: Db, name: string) {
  return db.maybeOne<ConnectionRow>(
    'find_connection_by_name',
    /* sql */ `select ${columns} from connections where name = $1`,
    [name],
  )
}

/** Locks and returns the connection; undefined if it does not exist. */
export function lockConnection(tx: Db, id: number) {
  return tx.maybeOne<ConnectionRow>(
    'lock_connection',
    /* sql */ `select ${columns} from connections where id = $1::bigint for update`,
    [id],
  )
}

/** Locks and returns the connection with this name; undefined if it does not exist. */
export function lockConnectionByName(tx: Db, name: string) {
  return tx.maybeOne<ConnectionRow>(
    'lock_connection_by_name',
    /* sql */ `select ${columns} from connections where name = $1 for update`,
    [name],
  )
}

/** Inserts a connection with this name and no settings; returns 0 if the name is taken. */
export function addConnection(tx: Db, name: string, at: Date) {
  return tx.exec(
    'add_connection',
    /* sql */ `insert into connections (name, created_at, updated_at) values ($1, $2, $2) on conflict (name) do nothing`,
    [name, at],
  )
}

/** Updates all settings and increments the version, by which gateways detect the change. */
export function updateConnection(tx: Db, id: number, settings: ConnectionSettings, at: Date) {
  const row = Object.fromEntries(settingNames.map((name) => [settingColumns[name], settings[name]]))
  return tx.one<ConnectionRow>(
    'update_connection',
    sql`
    update connections set ${assignmentsOf(row)}, version = version + 1, updated_at = ${at}
     where id = ${id} returning ${raw(columns)}`,
  )
}

/** Returns the uses that prevent the removal of a connection. */
export function findConnectionUses(tx: Db, id: number) {
  return tx.one<{ bound: boolean; shortCodes: string[] }>(
    'find_uses_of_connection',
    /* sql */ `
    select exists (select from bind_slots where connection_id = $1 and lease_until > clock_timestamp()) as bound,
           array(select s.code from short_code_routes r join short_codes s on s.id = r.short_code_id
                  where r.connection_id = $1 order by s.code) as "shortCodes"`,
    [id],
  )
}

export function deleteConnection(tx: Db, id: number) {
  return tx.exec('delete_connection', /* sql */ `delete from connections where id = $1::bigint`, [id])
}

/** A slot of a connection and the gateway that leases it. */
export type BindSlot = {
  connectionId: number
  slot: number
  gateway: string | null
  bound: boolean
  lastError: string | null
  since: Date
}

/** Returns the slots of these connections as last reported by the gateways. */
export function listBindSlots(db: Db, connectionIds: number[]) {
  return db.many<BindSlot>(
    'list_bind_slots',
    /* sql */ `
    select connection_id as "connectionId", slot, case when is_leased then leased_by end as gateway,
           bound and is_leased as bound, last_error as "lastError", changed_at as since
      from (select *, coalesce(lease_until > clock_timestamp(), false) as is_leased
              from bind_slots where connection_id = any($1::smallint[])) s
     order by connection_id, slot`,
    [connectionIds],
  )
}

/** The settings of CARILLON_SMPP_URL; a null setting does not change its column. */
export type EnvironmentAddress = {
  host: string
  port: number
  tls: boolean
  systemId: string
  password: Buffer | null
  window: number | null
  mps: number | null
  slots: number | null
}

/** Updates the connection of CARILLON_SMPP_URL; a new one serves all short codes. */
export function setEnvironmentConnection(tx: Db, id: number, given: EnvironmentAddress, isNew: boolean, at: Date) {
  const [window, mps, slots] = [param(given.window), param(given.mps), param(given.slots)]
  return tx.exec(
    'set_environment_connection',
    sql`
    update connections
       -- a released connection is enabled again
       set enabled = enabled or not from_environment, from_environment = true, host = ${given.host}, port = ${given.port},
           tls = ${given.tls}, system_id = ${given.systemId}, password = ${given.password},
           "window" = coalesce(${window}, "window"), mps = coalesce(${mps}, mps), slots = coalesce(${slots}, slots),
           environment_names = array_remove(array[case when ${window}::integer is not null then 'window' end,
                                                  case when ${mps}::integer is not null then 'mps' end,
                                                  case when ${slots}::integer is not null then 'slots' end], null),
           serves_all = serves_all or ${isNew}, version = version + 1, updated_at = ${at}
     where id = ${id}`,
  )
}

/** Makes the connection of CARILLON_SMPP_URL an ordinary one and disables it; returns the number of rows, 0 or 1. */
export function releaseEnvironmentConnection(tx: Db, at: Date) {
  return tx.exec(
    'release_environment_connection',
    /* sql */ `
    update connections
       set from_environment = false, environment_names = '{}', enabled = false, version = version + 1, updated_at = $1
     where from_environment`,
    [at],
  )
}
