import type { Db } from '../db/db.ts'

export type ShortCode = { id: number; code: string }

/** Returns the account's short codes, oldest first. */
export function listShortCodes(db: Db, accountId: number) {
  return db.many<ShortCode>(
    'list_short_codes',
    /* sql */ `select id, code from short_codes where account_id = $1 order by id`,
    [accountId],
  )
}

/** Inserts and returns a short code; violates `short_codes_code_key` if an account has it already. */
export function insertShortCode(db: Db, accountId: number, code: string, now: Date) {
  return db.one<ShortCode>(
    'insert_short_code',
    /* sql */ `insert into short_codes (account_id, code, created_at) values ($1, $2, $3) returning id, code`,
    [accountId, code, now],
  )
}

export function findShortCode(db: Db, accountId: number, code: string) {
  return db.maybeOne<ShortCode>(
    'find_short_code',
    /* sql */ `select id, code from short_codes where account_id = $1 and code = $2`,
    [accountId, code],
  )
}

/**
 * Blocks numbers that sent STOP to the short code: it sends them only replies to texts from them until the block is
 * lifted (`docs/consent.md`). A further STOP starts the wait again. `moIds` are the MOs that were the STOPs; without one, no
 * MO that has arrived by now lifts the block.
 */
export async function blockNumbers(
  tx: Db,
  shortCodeId: number,
  phones: number[],
  at: Date,
  moIds: Array<number | null> = phones.map(() => null),
): Promise<void> {
  await tx.exec(
    'block_numbers',
    /* sql */ `
    insert into blocks (short_code_id, phone, since, last_mo_id)
    select $1, phone, $3, coalesce(mo_id, (select coalesce(max(id), 0) from inbound_messages))
      from unnest($2::bigint[], $4::bigint[]) as stop(phone, mo_id) order by phone
        on conflict (short_code_id, phone)
        do update set since = greatest(blocks.since, excluded.since),
                      last_mo_id = greatest(blocks.last_mo_id, excluded.last_mo_id)`,
    [shortCodeId, phones, at, moIds],
  )
}
