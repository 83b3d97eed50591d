import type { Db } from '../db/db.ts'

/**
 * Inserts the SMSC id of a row whose response was lost, as its receipt reports it, so that the receipt applies as
 * usual.
 */
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
