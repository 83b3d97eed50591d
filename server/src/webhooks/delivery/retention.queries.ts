import type { Db } from '../../db/db.ts'
import type { PositionRange } from '../../events/positions.ts'

/** Deletes up to `limit` of the oldest attempts, those that were made before a time, and returns how many. */
export function deleteAttempts(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_delivery_attempts',
    /* sql */ `
    delete from delivery_attempts
     where id = any(array(select id from (select id, started_at from delivery_attempts order by id limit $2) first
                           where started_at < $1))`,
    [before, limit],
  )
}

/** Deletes up to `limit` counts of attempts before a time, and returns how many. */
export function deleteAttemptCounts(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_attempt_counts',
    /* sql */ `
    delete from attempt_counts
     where (endpoint_id, since) in (select endpoint_id, since from attempt_counts where since < $1 order by since limit $2)`,
    [before, limit],
  )
}

/** Deletes up to `limit` deliveries of events of a range that occurred before a time, and returns how many. */
export function deleteDeliveries(db: Db, { first, last }: PositionRange, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_deliveries',
    /* sql */ `
    with old as (
      select d.id
        from (select id, position from deliveries where position between $3 and $4 order by position limit $2) d
        join events v on v.position = d.position
       where v.occurred_at < $1
    ), held as (
      select id from deliveries where id = any(array(select id from old)) order by id for update
    )
    delete from deliveries where id = any(array(select id from held))`,
    [before, limit, first, last],
  )
}

/** Deletes up to `limit` marks of phones with an event that was given up before a time, and returns how many. */
export function deleteDeadLetters(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_dead_letters',
    /* sql */ `
    delete from dead_letters
     where (endpoint_id, phone) in (select endpoint_id, phone from dead_letters where given_up_at < $1
                                     order by given_up_at limit $2)`,
    [before, limit],
  )
}
