import type { Db } from '../db/db.ts'

/** A short code's use of one connection; texts are sent through the lowest tier with a bound connection, by weight. */
export type SendingRoute = { connectionId: number; name: string; tier: number; weight: number }

/** Locks the short code of any account, and returns it with its cap. */
export function lockShortCode(tx: Db, code: string) {
  return tx.maybeOne<{ id: number; mps: number | null }>(
    'lock_short_code',
    /* sql */ `select id, mps from short_codes where code = $1 for update`,
    [code],
  )
}

/** Returns the short code of any account, with its cap. */
export function findAnyShortCode(db: Db, code: string) {
  return db.maybeOne<{ id: number; mps: number | null }>(
    'find_any_short_code',
    /* sql */ `select id, mps from short_codes where code = $1`,
    [code],
  )
}

export function setShortCodeMps(tx: Db, id: number, mps: number | null) {
  return tx.exec('set_short_code_mps', /* sql */ `update short_codes set mps = $2 where id = $1`, [id, mps])
}

export function listSendingRoutes(db: Db, shortCodeId: number) {
  return db.many<SendingRoute>(
    'list_short_code_routes',
    /* sql */ `
    select r.connection_id as "connectionId", c.name, r.tier, r.weight
      from short_code_routes r join connections c on c.id = r.connection_id
     where r.short_code_id = $1 order by r.tier, r.connection_id`,
    [shortCodeId],
  )
}

/** Locks these connections, so that no other transaction deletes them before this one ends; returns the ids that exist. */
export async function lockConnections(tx: Db, ids: number[]): Promise<number[]> {
  const rows = await tx.many<{ id: number }>(
    'lock_connections',
    /* sql */ `select id from connections where id = any($1::integer[]) order by id for key share`,
    [ids],
  )
  return rows.map(({ id }) => id)
}

/** Replaces all sending routes of the short code. */
export async function replaceSendingRoutes(
  tx: Db,
  shortCodeId: number,
  routes: readonly Pick<SendingRoute, 'connectionId' | 'tier' | 'weight'>[],
): Promise<void> {
  await tx.exec('delete_short_code_routes', /* sql */ `delete from short_code_routes where short_code_id = $1`, [
    shortCodeId,
  ])
  await tx.exec(
    'insert_short_code_routes',
    /* sql */ `
    insert into short_code_routes (short_code_id, connection_id, tier, weight)
    select $1, * from unnest($2::smallint[], $3::smallint[], $4::smallint[])`,
    [
      shortCodeId,
      routes.map(({ connectionId }) => connectionId),
      routes.map(({ tier }) => tier),
      routes.map(({ weight }) => weight),
    ],
  )
}

export type ShortCodeSendingRoute = { shortCodeId: number; connectionId: number; tier: number; weight: number }

/** Returns the sending routes of all short codes. */
export function listAllSendingRoutes(db: Db) {
  return db.many<ShortCodeSendingRoute>(
    'list_route_table',
    /* sql */ `
    select short_code_id as "shortCodeId", connection_id as "connectionId", tier, weight
      from short_code_routes order by short_code_id, tier, connection_id`,
  )
}

/** Returns the short codes that have a cap, in submit_sm per second. */
export function listShortCodeCaps(db: Db) {
  return db.many<{ shortCodeId: number; mps: number }>(
    'list_short_code_caps',
    /* sql */ `select id as "shortCodeId", mps from short_codes where mps is not null`,
  )
}
