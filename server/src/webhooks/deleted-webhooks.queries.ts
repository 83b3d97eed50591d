import type { Db } from '../db/db.ts'
import { lockEndpoint } from './delivery/endpoints.queries.ts'

/** Returns the oldest webhook that is marked as deleted, with its endpoint, or undefined. */
export function findDeletedWebhook(db: Db) {
  return db.maybeOne<{ id: number; endpointId: number }>(
    'find_deleted_webhook',
    /* sql */ `
    select w.id, p.id as "endpointId" from webhooks w join endpoints p on p.webhook_id = w.id
     where w.deleted_at is not null order by w.id limit 1`,
  )
}

/** Deletes up to `limit` deliveries, or else replays, of an endpoint, and returns how many. */
export async function deleteSlice(db: Db, endpointId: number, limit: number): Promise<number> {
  const deliveries = await db.exec(
    'delete_deliveries_of_endpoint',
    /* sql */ `
    delete from deliveries
     where id = any(array(select id from deliveries where endpoint_id = $1 order by position limit $2))`,
    [endpointId, limit],
  )
  if (deliveries > 0) return deliveries
  return db.exec(
    'delete_replays_of_endpoint',
    /* sql */ `delete from replays where id = any(array(select id from replays where endpoint_id = $1 limit $2))`,
    [endpointId, limit],
  )
}

/** Deletes a webhook and its endpoint if nothing refers to the endpoint any more; returns whether it did. */
export function deleteEmptyWebhook(db: Db, { id, endpointId }: { id: number; endpointId: number }): Promise<boolean> {
  return db.tx(async (tx) => {
    // a replay that has the row queues deliveries, which the statement after the lock sees
    await lockEndpoint(tx, endpointId)
    const deleted = await tx.exec(
      'delete_empty_webhook',
      /* sql */ `
      delete from webhooks
       where id = $1 and deleted_at is not null and not exists (select from deliveries where endpoint_id = $2)
         and not exists (select from replays where endpoint_id = $2)`,
      [id, endpointId],
    )
    return deleted > 0
  })
}
