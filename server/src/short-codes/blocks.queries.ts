import type { Db } from '../db/db.ts'

/**
 * Notes that numbers have sent STOP to the short code: they get nothing from it but answers to their own texts, until they
 * opt in on one of the code's lists. An import does not lift that, because an opt-out wins over a file.
 */
export async function blockNumbers(tx: Db, shortCodeId: number, phones: number[], at: Date): Promise<void> {
  await tx.exec(
    'block_numbers',
    /* sql */ `
    insert into blocks (short_code_id, phone, since) 
    select $1, phone, $3 from unnest($2::bigint[]) as phone order by phone
        on conflict (short_code_id, phone) do update set since = excluded.since`,
    [shortCodeId, phones, at],
  )
}
