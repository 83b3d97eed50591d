import type { Db } from '../../db/db.ts'
import { sql } from '../../db/sql.ts'

/** A delivery that waits: for its first attempt, for a retry, or for an earlier one of its phone. */
export type WaitingDelivery = {
  position: number
  type: string
  phone: number | null
  isTest: boolean
  attempts: number
  dueAt: Date
  occurredAt: Date
  afterDeadLetter: boolean
}

/** Which waiting deliveries of a webhook to read; with a phone, only those of that phone. */
export type WaitingFilter = { webhookId: number; phone: number | null; after: number }

/** Returns up to `limit` waiting deliveries of a webhook after a position, in the order of their positions. */
export function listWaiting(db: Db, { webhookId, phone, after }: WaitingFilter, limit: number) {
  const ofPhone = phone === null ? sql`` : sql`and d.phone = ${phone}`
  return db.many<WaitingDelivery>(
    phone === null ? 'list_waiting_deliveries' : 'list_waiting_deliveries_of_phone',
    sql`
    select d.position, v.type, d.phone, v.is_test as "isTest", d.attempts, d.due_at as "dueAt",
           v.occurred_at as "occurredAt", d.after_dead_letter as "afterDeadLetter"
      from (select * from deliveries d
             where d.endpoint_id = (select id from endpoints where webhook_id = ${webhookId})
               and d.position > ${after} ${ofPhone}
             order by d.position limit ${limit}) d
      join events v on v.position = d.position
     order by d.position`,
  )
}
