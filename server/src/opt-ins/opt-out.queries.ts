import type { Db } from '../db/db.ts'

export type OptOut = {
  accountId: number
  phone: number
  listIds: number[]
  /** api, stop or carrier. */
  method: string
  source: string | null
  /** The words that did it, where there were any. */
  wording: string | null
  actor: string
  at: Date
}

/**
 * Moves the number to unsubscribed on those of the lists it is on, with the ledger and the lists' counts, and answers
 * the lists it left. A cleaned number leaves as well: its word outlives its being dead.
 */
export async function leaveLists(tx: Db, optOut: OptOut): Promise<number[]> {
  const rows = await tx.many<{ listId: number }>(
    'leave_lists',
    /* sql */ `
    with before as materialized (
      select list_id, state from subscribers
       where list_id = any($2::bigint[]) and phone = $3 and state <> 'unsubscribed'
       order by list_id for update
    ), gone as (
      update subscribers s set state = 'unsubscribed', opted_out_at = $8
        from before b where s.list_id = b.list_id and s.phone = $3
      returning s.list_id
    ), noted as (
      insert into opts (account_id, list_id, phone, kind, method, source, wording, actor, created_at)
      select $1, list_id, $3, 'opt_out', $4, $5, $6, $7, $8 from gone
    ), counted as (
      insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
      select list_id, $3::bigint / 100000, -(state = 'subscribed')::int, 1, -(state = 'cleaned')::int from before
    )
    select list_id as "listId" from gone order by list_id`,
    [
      optOut.accountId,
      optOut.listIds,
      optOut.phone,
      optOut.method,
      optOut.source,
      optOut.wording,
      optOut.actor,
      optOut.at,
    ],
  )
  return rows.map((row) => row.listId)
}

/** What an opt-out is for: texts of these lists and, where there is one, all others from the short code. */
export type Scope = { listIds: number[]; shortCodeId: number | null }

/**
 * Puts a number that these lists do not know, but a file of theirs that is still being applied may, on them as pending, so
 * that the opt-out that follows has a row to leave its mark on: the import finds it and passes the number over. If the
 * import is writing the number just now, this waits for it.
 */
export async function foreseeImports(tx: Db, phone: number, listIds: number[]) {
  await tx.exec(
    'foresee_imports',
    /* sql */ `
    insert into subscribers (list_id, phone, state)
    select distinct i.list_id, $1::bigint, 'pending' from imports i
     where i.status in ('queued', 'running') and i.list_id = any($2::bigint[])
     order by i.list_id
        on conflict (list_id, phone) do nothing`,
    [phone, listIds],
  )
}

// only these partitions can hold rows that are still queued or submitting
const openDays = `array(select logged_on from messages where status = 'sending'
                  union select logged_on from messages where status = 'cancelled' and closed_at is null)`

const isInScope = `(m.list_id = any($2::bigint[]) or m.short_code_id = $3)`

/**
 * Takes the number out of everything within the scope that is still queued for it. It waits for a mark that holds such a
 * row; what that mark has made submitting stays.
 */
export function suppressQueued(tx: Db, phone: number, scope: Scope, at: Date): Promise<number> {
  return tx.exec(
    'suppress_queued',
    /* sql */ `
    with target as materialized (
      select l.id, l.logged_on
        from message_log l join messages m on m.id = l.message_id
       where l.phone = $1 and l.logged_on = any(${openDays}) and l.state = 'queued'
         and ${isInScope} and m.consent <> 'answer'
       order by l.id
         for update of l
    ), moved as (
      update message_log l set state = 'suppressed', reason = 'opted_out', closed_at = $4
        from target t
       where l.id = t.id and l.logged_on = t.logged_on and l.logged_on = any(${openDays}) and l.state = 'queued'
      returning l.message_id
    )
    update message_counters c set queued = c.queued - t.n, suppressed = c.suppressed + t.n
      from (select message_id, count(*) as n from moved group by message_id) t
     where c.message_id = t.message_id`,
    [phone, scope.listIds, scope.shortCodeId, at],
  )
}

/** How many texts within the scope to the number a gateway may be writing right now, or waits for the answer to. */
export async function countInFlight(db: Db, phone: number, scope: Scope): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_in_flight',
    /* sql */ `
    select count(*) as count
      from message_log l join messages m on m.id = l.message_id
     where l.phone = $1 and l.logged_on = any(${openDays}) and l.state = 'submitting'
       and ${isInScope} and m.consent <> 'answer'
       -- past its lease nobody writes it any more, even if nobody has come yet to call it unknown
       and exists (select from send_chunks c
                    where c.message_id = l.message_id and c.first_log_id <= l.id and c.last_log_id >= l.id
                      and c.lease_until > clock_timestamp())`,
    [phone, scope.listIds, scope.shortCodeId],
  )
  return count
}

/** Counts an opt-out against the last broadcast that each of these lists sent to the number. */
export async function countUnsubscribes(tx: Db, phone: number, listIds: number[]) {
  await tx.exec(
    'count_unsubscribes',
    /* sql */ `
    with answered as (
      select distinct on (m.list_id) m.id
        from message_log l join messages m on m.id = l.message_id
       where l.phone = $1 and m.list_id = any($2::bigint[]) and m.kind = 'broadcast'
         and l.state in ('sent', 'delivered', 'unknown')
       order by m.list_id, l.id desc
    )
    update message_counters c set unsubscribe_count = c.unsubscribe_count + 1
      from answered a where c.message_id = a.id`,
    [phone, listIds],
  )
}
