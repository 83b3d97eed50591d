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
    select d.position, v.type, d.phone, v.is_test as "isTest", d.attempts,
           -- one that is behind another one of its phone is due after that
           case when d.is_behind
                then greatest(d.due_at, (select b.due_at from deliveries b
                                          where b.endpoint_id = d.endpoint_id and b.phone = d.phone order by b.id limit 1))
                else d.due_at end as "dueAt",
           v.occurred_at as "occurredAt",
           exists (select from dead_letters l
                    where l.endpoint_id = d.endpoint_id and l.phone = d.phone) as "afterDeadLetter"
      from (select * from deliveries d
             where d.endpoint_id = (select id from endpoints where webhook_id = ${webhookId})
               and d.position > ${after} ${ofPhone}
             order by d.position limit ${limit}) d
      join events v on v.position = d.position
     order by d.position`,
  )
}
