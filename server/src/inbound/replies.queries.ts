import type { Db } from '../db/db.ts'

/**
 * Locks the confirmations to this phone from this short code until the transaction ends. Without it, two gateways that
 * confirm two STOPs of one phone at the same time do not see each other's confirmation, and the person gets both.
 */
export async function lockConfirmations(tx: Db, phone: number, shortCode: string): Promise<void> {
  await tx.exec(
    'lock_confirmations',
    /* sql */ `select pg_advisory_xact_lock(hashtext($1), hashtext($2::bigint::text))`,
    [shortCode, phone],
  )
}

/**
 * Returns whether an opt-out of this phone from this short code that was received after `since` was confirmed, and the
 * phone has not opted in again since then.
 */
export async function wasConfirmedSince(tx: Db, phone: number, shortCode: string, since: Date): Promise<boolean> {
  const row = await tx.maybeOne(
    'was_confirmed_since',
    /* sql */ `
    select 1 from inbound_messages i
     where phone = $1 and short_code = $2 and kind = 'opt_out' and reply_message_id is not null
       and received_at > $3
       and not exists (
         select from opts o join short_codes s on s.id = o.short_code_id
          where s.code = $2 and o.phone = $1 and o.list_id is null and o.kind = 'block_lifted'
            and o.created_at >= i.interpreted_at) limit 1`,
    [phone, shortCode, since],
  )
  return row !== undefined
}

/** Returns the number of replies that this phone got from this short code after `since`, counted up to `most`. */
export async function countRepliesSince(tx: Db, phone: number, shortCode: string, since: Date, most: number) {
  const { n } = await tx.one<{ n: number }>(
    'count_replies_since',
    /* sql */ `
    select count(*) as n
      from (select from inbound_messages
             where phone = $1 and short_code = $2 and reply_message_id is not null and interpreted_at > $3 limit $4) replies`,
    [phone, shortCode, since, most],
  )
  return n
}

/** Returns whether a HELP of this phone to this short code got a reply after `since`. */
export async function wasHelpedSince(tx: Db, phone: number, shortCode: string, since: Date): Promise<boolean> {
  const row = await tx.maybeOne(
    'was_helped_since',
    /* sql */ `
    select 1 from inbound_messages
     where phone = $1 and short_code = $2 and kind = 'help' and reply_message_id is not null
       and interpreted_at > $3 limit 1`,
    [phone, shortCode, since],
  )
  return row !== undefined
}
