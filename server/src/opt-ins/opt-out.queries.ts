import type { Db } from '../db/db.ts'

/** A number that opts out, with the words that did it, where there were any, and who did. */
export type OptOutSender = { phone: number; wording: string | null; actor: string }

export type ListOptOut = {
  accountId: number
  leavers: OptOutSender[]
  listIds: number[]
  /** api, stop or carrier. */
  method: string
  source: string | null
  at: Date
}

/** A number, and a list that it has left. */
export type LeftList = { phone: number; listId: number }

/**
 * Moves the numbers to unsubscribed on those of the lists they are on, with the ledger and the lists' counts, and answers
 * who left which. A cleaned number leaves as well: its word outlives its being dead.
 */
export function optOutOfLists(tx: Db, optOut: ListOptOut): Promise<LeftList[]> {
  return tx.many<LeftList>(
    'leave_lists',
    /* sql */ `
    with before as materialized (
      select list_id, phone, state from subscribers
       where list_id = any($2::bigint[]) and phone = any($3::bigint[]) and state <> 'unsubscribed'
       order by list_id, phone for update
    ), gone as (
      update subscribers s set state = 'unsubscribed', opted_out_at = $8
        from before b where s.list_id = b.list_id and s.phone = b.phone
      returning s.list_id, s.phone
    ), noted as (
      insert into opts (account_id, list_id, phone, kind, method, source, wording, actor, created_at)
      select $1, list_id, phone, 'opt_out', $4, $5, wording, actor, $8
        from gone join unnest($3::bigint[], $6::text[], $7::text[]) as l(phone, wording, actor) using (phone)
    ), counted as (
      insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
      select list_id, phone / 100000, -count(*) filter (where state = 'subscribed'), count(*),
             -count(*) filter (where state = 'cleaned')
        from before group by list_id, phone / 100000
    )
    select phone, list_id as "listId" from gone order by list_id, phone`,
    [
      optOut.accountId,
      optOut.listIds,
      optOut.leavers.map((leaver) => leaver.phone),
      optOut.method,
      optOut.source,
      optOut.leavers.map((leaver) => leaver.wording),
      optOut.leavers.map((leaver) => leaver.actor),
      optOut.at,
    ],
  )
}

/**
 * Puts numbers that these lists do not know, but a file of theirs that is still being applied may, on them as pending, so
 * that the opt-out that follows has a row to leave its mark on: the import finds it and passes the number over. If the
 * import is writing the number just now, this waits for it.
 */
export async function reservePendingRows(tx: Db, phones: number[], listIds: number[]) {
  await tx.exec(
    'foresee_imports',
    /* sql */ `
    insert into subscribers (list_id, phone, state)
    select distinct i.list_id, p.phone, 'pending' from imports i cross join unnest($1::bigint[]) as p(phone)
     where i.status in ('queued', 'running') and i.list_id = any($2::bigint[])
     order by i.list_id, p.phone
        on conflict (list_id, phone) do nothing`,
    [phones, listIds],
  )
}
