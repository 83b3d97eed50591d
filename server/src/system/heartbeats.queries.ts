import type { Db } from '../db/db.ts'
import type { Snapshot } from './metrics.ts'

export type LiveRole = { role: string; instanceId: string; details: Record<string, unknown> }

/** The state of a process, and its metrics. */
export type Heartbeat = { details?: Record<string, unknown>; metrics?: Snapshot | undefined }

/** Stores the heartbeat of this process; must be called once a second. Without `metrics`, the stored metrics do not change. */
export function upsertHeartbeat(db: Db, role: string, instanceId: string, { details, metrics }: Heartbeat = {}) {
  return db.exec(
    'upsert_heartbeat',
    /* sql */ `
    insert into heartbeats (role, instance_id, details, metrics, seen_at)
    values ($1, $2, $3, $4, clock_timestamp())
        on conflict (role, instance_id) do update
       set details = excluded.details, metrics = coalesce(excluded.metrics, heartbeats.metrics), seen_at = excluded.seen_at`,
    [role, instanceId, JSON.stringify(details ?? {}), metrics ? JSON.stringify(metrics) : null],
  )
}

/** Returns the processes with a heartbeat in the last five seconds, by the database's clock. */
export function listLiveRoles(db: Db) {
  return db.many<LiveRole>(
    'list_live_roles',
    /* sql */ `
    select role, instance_id as "instanceId", details
      from heartbeats
     where seen_at > clock_timestamp() - interval '5 seconds'`,
  )
}

/** Returns the metrics of the processes with a heartbeat in the last five seconds. */
export async function listMetrics(db: Db): Promise<Snapshot[]> {
  const rows = await db.many<{ metrics: Snapshot }>(
    'list_metrics',
    /* sql */ `
    select metrics from heartbeats
     where seen_at > clock_timestamp() - interval '5 seconds' and metrics is not null
     order by role, instance_id`,
  )
  return rows.map((row) => row.metrics)
}

/** Deletes the rows of processes that have had no heartbeat for a day. */
export function deleteOldHeartbeats(db: Db) {
  return db.exec(
    'delete_old_heartbeats',
    /* sql */ `delete from heartbeats where seen_at < clock_timestamp() - interval '1 day'`,
  )
}
