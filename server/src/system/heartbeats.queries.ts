import type { Db } from '../db/db.ts'

export type LiveRole = { role: string; instanceId: string; details: Record<string, unknown> }

/** Says that this process lives and how it does; to be called once a second. */
export function beat(db: Db, role: string, instanceId: string, details: Record<string, unknown> = {}) {
  return db.exec(
    'beat',
    /* sql */ `
    insert into heartbeats (role, instance_id, details, seen_at)
    values ($1, $2, $3, clock_timestamp())
        on conflict (role, instance_id) do update set details = excluded.details, seen_at = excluded.seen_at`,
    [role, instanceId, JSON.stringify(details)],
  )
}

/** The processes that were heard of in the last five seconds, by the database's clock. */
export function listLiveRoles(db: Db) {
  return db.many<LiveRole>(
    'list_live_roles',
    /* sql */ `
    select role, instance_id as "instanceId", details
      from heartbeats
     where seen_at > clock_timestamp() - interval '5 seconds'`,
  )
}

/** Forgets processes that have been gone for a day. */
export function deleteOldHeartbeats(db: Db) {
  return db.exec(
    'delete_old_heartbeats',
    /* sql */ `delete from heartbeats where seen_at < clock_timestamp() - interval '1 day'`,
  )
}
