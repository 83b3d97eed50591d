import type { Db } from '../db/db.ts'

/** Lets a row know the id it got after all, so that the receipt applies to it like any other. */
export async function insertFoundSubmit(
  tx: Db,
  receipt: { connectionId: number; smscId: string; phone: number | null },
  row: { logId: number; loggedOn: string; part: number },
) {
  await tx.exec(
    'insert_found_submit',
    /* sql */ `
    insert into submits (connection_id, smsc_id, log_id, phone, part, logged_on) values ($1, $2, $3, $4, $5, $6)`,
    [receipt.connectionId, receipt.smscId, row.logId, receipt.phone, row.part, row.loggedOn],
  )
}
