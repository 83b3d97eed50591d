import type { Db } from '../db/db.ts'

/** Returns an id below those of all rows that the transaction will insert into the ledger. */
export async function findLastOpt(tx: Db): Promise<number> {
  const { last } = await tx.one<{ last: number }>(
    'find_last_opt',
    /* sql */ `select coalesce(max(id), 0) as last from opts`,
  )
  return last
}

/** Records the events of the rows that an import has inserted into the ledger after the row with the id `after`. */
export function recordImportEvents(tx: Db, { listId, actor, after }: { listId: number; actor: string; after: number }) {
  return tx.exec(
    'record_import_events',
    /* sql */ `
    select record_consent_events(array_agg(row(o.*)::opts))
      from opts o where o.id > $1 and o.list_id = $2 and o.actor = $3`,
    [after, listId, actor],
  )
}
