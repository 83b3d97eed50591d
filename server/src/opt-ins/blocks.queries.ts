import type { Db } from '../db/db.ts'
import type { OptOutSender } from './opt-out.queries.ts'

/** The block of a number at a short code. */
export type Block = {
  since: Date
  /** The longest `resubscribe_timeout_hours` of all lists of the short code, including deleted ones. */
  timeoutHours: number
  /** The MO that was the STOP, or the last one that had arrived before another opt-out. */
  lastMoId: number
}

/**
 * Returns the number's block at the short code, locked until the transaction ends: a STOP that arrives in between waits,
 * and then finds what the transaction has written. Returns undefined if the number is not blocked.
 */
export function findBlockForUpdate(tx: Db, shortCodeId: number, phone: number) {
  return tx.maybeOne<Block>(
    'find_block_for_update',
    /* sql */ `
    select b.since, b.last_mo_id as "lastMoId", coalesce((select max(l.resubscribe_timeout_hours) from lists l where l.short_code_id = $1), 0)
                    as "timeoutHours"
      from blocks b where b.short_code_id = $1 and b.phone = $2
       for update of b`,
    [shortCodeId, phone],
  )
}

export type BlockLift = {
  accountId: number
  shortCodeId: number
  phone: number
  method: 'api' | 'start' | 'keyword'
  /** The text of the person, if it lifts the block. */
  wording: string | null
  actor: string
  at: Date
}

/** Lifts the number's block at the short code, with a row of the ledger. */
export async function liftBlock(tx: Db, lift: BlockLift): Promise<void> {
  await tx.exec(
    'lift_block',
    /* sql */ `
    with lifted as (
      delete from blocks where short_code_id = $2 and phone = $3 returning short_code_id, phone
    )
    insert into opts (account_id, short_code_id, phone, kind, method, wording, actor, created_at)
    select $1, short_code_id, phone, 'block_lifted', $4, $5, $6, $7 from lifted`,
    [lift.accountId, lift.shortCodeId, lift.phone, lift.method, lift.wording, lift.actor, lift.at],
  )
}

/** A list that a person left by STOP; `welcome` is its text for a return, empty for none. */
export type LeftByStop = { listId: number; welcome: string }

/**
 * Returns the lists of the short code, locked for this number, that it was subscribed to when it sent the STOP of its
 * block: on these, the ledger without the opt-outs of the block ends with an opt-in. Deleted lists and those that moved to
 * another short code are not among them.
 */
export function listLeftByStop(tx: Db, shortCodeId: number, phone: number) {
  return tx.many<LeftByStop>(
    'list_left_by_stop',
    /* sql */ `
    with last_lift as materialized (
      select coalesce(max(id), 0) as id
        from opts where short_code_id = $1 and phone = $2 and list_id is null and kind = 'block_lifted'
    )
    select l.id as "listId", case when l.bypass_opt_in_response then '' else l.second_optin_message end as welcome
      from lists l join subscribers s on s.list_id = l.id and s.phone = $2
     where l.short_code_id = $1 and l.deleted_at is null and s.state in ('unsubscribed', 'pending')
       and (select o.kind
              from opts o
             where o.list_id = l.id and o.phone = $2 and o.kind <> 'opt_in_requested'
               and (o.kind = 'opt_out' and o.short_code_id = $1 and o.id > (select id from last_lift)) is not true
             order by o.id desc limit 1) = 'opt_in'
     order by l.id
       for no key update of s`,
    [shortCodeId, phone],
  )
}

/** Inserts a row of the ledger for each opt-out from a short code that changed no list. */
export async function recordOptOutsOfNoList(
  tx: Db,
  code: { accountId: number; shortCodeId: number },
  optOuts: { senders: OptOutSender[]; method: string; at: Date },
): Promise<void> {
  const { senders, method, at } = optOuts
  if (senders.length === 0) return
  await tx.exec(
    'record_opt_outs_of_no_list',
    /* sql */ `
    insert into opts (account_id, short_code_id, phone, kind, method, wording, actor, created_at)
    select $1, $2, phone, 'opt_out', $3, wording, actor, $7
      from unnest($4::bigint[], $5::text[], $6::text[]) as s(phone, wording, actor)`,
    [
      code.accountId,
      code.shortCodeId,
      method,
      senders.map((sender) => sender.phone),
      senders.map((sender) => sender.wording),
      senders.map((sender) => sender.actor),
      at,
    ],
  )
}
