import type { Db } from '../db/db.ts'

/**
 * A number that opts out, with the wording of its text, if any, and the actor for the ledger. `moId` is the MO, if it
 * decides which later MOs may lift the block; otherwise those that arrive from now on may.
 */
export type OptOutSender = { phone: number; wording: string | null; actor: string; moId?: number | null }

export type ListOptOut = {
  accountId: number
  senders: OptOutSender[]
  listIds: number[]
  /** The short code that the opt-out applies to; null if it is from one list only. */
  shortCodeId: number | null
  /** api, stop or carrier. */
  method: string
  source: string | null
  at: Date
}

/** A number and a list that it has opted out of. */
export type LeftList = { phone: number; listId: number }

/**
 * Sets the numbers to unsubscribed on each of the lists where they have a row, with the ledger and the lists' counts,
 * and returns the lists that each number opted out of. A cleaned number opts out as well, so that its opt-out is on
 * record if it is added again.
 */
export function optOutOfLists(tx: Db, optOut: ListOptOut): Promise<LeftList[]> {
  return tx.many<LeftList>(
    'opt_out_of_lists',
    /* sql */ `
    with before as materialized (
      select list_id, phone, state from subscribers
       where list_id = any($2::bigint[]) and phone = any($3::bigint[]) and state <> 'unsubscribed'
       order by list_id, phone for update
    ), unsubscribed_rows as (
      update subscribers s set state = 'unsubscribed', opted_out_at = $8, updated_at = $8
        from before b where s.list_id = b.list_id and s.phone = b.phone
      returning s.list_id, s.phone
    ), ledger_rows as (
      insert into opts (account_id, list_id, short_code_id, phone, kind, method, source, wording, actor, created_at)
      select $1, list_id, $9, phone, 'opt_out', $4, $5, wording, actor, $8
        from unsubscribed_rows join unnest($3::bigint[], $6::text[], $7::text[]) as l(phone, wording, actor) using (phone)
    ), deltas as (
      insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
      select list_id, phone / 100000, -count(*) filter (where state = 'subscribed'), count(*),
             -count(*) filter (where state = 'cleaned')
        from before group by list_id, phone / 100000
    )
    select phone, list_id as "listId" from unsubscribed_rows order by list_id, phone`,
    [
      optOut.accountId,
      optOut.listIds,
      optOut.senders.map((sender) => sender.phone),
      optOut.method,
      optOut.source,
      optOut.senders.map((sender) => sender.wording),
      optOut.senders.map((sender) => sender.actor),
      optOut.at,
      optOut.shortCodeId,
    ],
  )
}

/**
 * Inserts pending rows for numbers that are not on these lists while an import of theirs runs. The opt-out that follows
 * then has a row to update, and the import finds it and skips the number. If the import is writing the number at the
 * same time, this waits for it.
 */
export async function reservePendingRows(tx: Db, phones: number[], listIds: number[], now: Date) {
  await tx.exec(
    'reserve_pending_rows',
    /* sql */ `
    insert into subscribers (list_id, phone, state, created_at)
    select distinct i.list_id, p.phone, 'pending', $3::timestamptz from imports i cross join unnest($1::bigint[]) as p(phone)
     where i.status in ('queued', 'running') and i.list_id = any($2::bigint[])
     order by i.list_id, p.phone
        on conflict (list_id, phone) do nothing`,
    [phones, listIds, now],
  )
}
