import type { Db } from '../db/db.ts'

/**
 * Notes that a number has sent STOP to the short code: it gets nothing from it but answers to its own texts, until it
 * opts in on one of the code's lists. An import does not lift that, because an opt-out wins over a file.
 */
export async function blockNumber(tx: Db, shortCodeId: number, phone: number, at: Date): Promise<void> {
  await tx.exec(
    'block_number',
    /* sql */ `
    insert into blocks (short_code_id, phone, since) values ($1, $2, $3)
        on conflict (short_code_id, phone) do update set since = excluded.since`,
    [shortCodeId, phone, at],
  )
}
