import type { Db } from '../db/db.ts'
import type { Connection } from './connection.ts'

/** A row of `connections`: its secrets sealed, its address perhaps not set yet. */
export type ConnectionRow = Omit<Connection, 'host' | 'port' | 'tlsKey' | 'password'> & {
  host: string | null
  port: number | null
  tlsKey: Buffer | null
  password: Buffer | null
  createdAt: Date
  updatedAt: Date
}

const columns = /* sql */ `
  id, name, enabled, serves_all as "servesAll", from_environment as "fromEnvironment", host, port, tls,
  tls_ca as "tlsCa", tls_server_name as "tlsServerName", tls_certificate as "tlsCertificate", tls_key as "tlsKey",
  system_id as "systemId", password, system_type as "systemType", bind_type as "bindType", slots, "window", mps,
  carrier_mps as "carrierMps", charset, long_text as "longText", service_type as "serviceType",
  source_ton as "sourceTon", source_npi as "sourceNpi", dest_ton as "destTon", dest_npi as "destNpi",
  validity_s as "validityS", response_deadline_ms as "responseDeadlineMs", receipt_deadline_s as "receiptDeadlineS",
  enquire_link_s as "enquireLinkS", receipt_id_form as "receiptIdForm", error_map as "errorMap",
  query_sm as "querySm", query_after_s as "queryAfterS", version, created_at as "createdAt", updated_at as "updatedAt"`

/** All connections, oldest first. */
export function listConnections(db: Db) {
  return db.many<ConnectionRow>('list_connections', /* sql */ `select ${columns} from connections order by id`)
}

/** The connection of this name with its row locked; undefined when there is none. */
export function lockConnectionByName(tx: Db, name: string) {
  return tx.maybeOne<ConnectionRow>(
    'lock_connection_by_name',
    /* sql */ `select ${columns} from connections where name = $1 for update`,
    [name],
  )
}

/** Makes a connection of this name that has nothing yet, unless there is one. */
export function addConnection(tx: Db, name: string) {
  return tx.exec(
    'add_connection',
    /* sql */ `insert into connections (name) values ($1) on conflict (name) do nothing`,
    [name],
  )
}

/** What CARILLON_SMPP_URL says of its connection; null where it leaves open what the row has. */
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

/** Sets the connection of the environment, which serves all short codes when it is new. */
export function setEnvironmentConnection(tx: Db, id: number, given: EnvironmentAddress, isNew: boolean) {
  return tx.exec(
    'set_environment_connection',
    /* sql */ `
    update connections
       set from_environment = true, host = $2, port = $3, tls = $4, system_id = $5, password = $6,
           "window" = coalesce($7, "window"), mps = coalesce($8, mps), slots = coalesce($9, slots),
           serves_all = serves_all or $10, version = version + 1, updated_at = now()
     where id = $1`,
    [
      id,
      given.host,
      given.port,
      given.tls,
      given.systemId,
      given.password,
      given.window,
      given.mps,
      given.slots,
      isNew,
    ],
  )
}

/** The id under which receipts of this connection are matched; made at its first use. */
export async function ensureConnection(db: Db, name: string): Promise<number> {
  const { id } = await db.one<{ id: number }>(
    'ensure_connection',
    /* sql */ `
    -- an update in vain, because of two first uses at once only that shows the loser the winner's row
    insert into connections (name) values ($1) on conflict (name) do update set name = excluded.name returning id`,
    [name],
  )
  return id
}
