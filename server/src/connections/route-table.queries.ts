import type { Db } from '../db/db.ts'

export type ShortCodeRoute = { shortCodeId: number; connectionId: number; tier: number; weight: number }

/** Through which connections each short code with routes of its own sends. */
export function listRouteTable(db: Db) {
  return db.many<ShortCodeRoute>(
    'list_route_table',
    /* sql */ `
    select short_code_id as "shortCodeId", connection_id as "connectionId", tier, weight
      from short_code_routes order by short_code_id, tier, connection_id`,
  )
}

/** The short codes that may send only so many submit_sm in any second. */
export function listShortCodeCaps(db: Db) {
  return db.many<{ shortCodeId: number; mps: number }>(
    'list_short_code_caps',
    /* sql */ `select id as "shortCodeId", mps from short_codes where mps is not null`,
  )
}
