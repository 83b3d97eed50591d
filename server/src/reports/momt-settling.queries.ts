import type { Db } from '../db/db.ts'

/** The sessions of the roles that accept messages or store texts from phones, according to `application_name`. */
const roles = '^carillon( (api|gateway|worker).*)?$'

/**
 * Returns whether no open transaction can add a text to a report's period, and no broadcast of the period is being expanded. A
 * transaction that began after `settles_at` has read a later time than the end of the period.
 */
export async function isSettled(
  tx: Db,
  { id, accountId, dateFrom, to }: { id: number; accountId: number; dateFrom: Date; to: Date },
): Promise<boolean> {
  const { settled } = await tx.one<{ settled: boolean }>(
    'is_report_settled',
    /* sql */ `
    select not exists (
             select from pg_stat_activity a
              where a.datname = current_database() and a.pid <> pg_backend_pid() and a.application_name ~ $1
                and a.xact_start < (select settles_at from momt_reports where id = $2)
           ) and not exists (
             select from expansions e
              cross join lateral (select account_id, accepted_at from messages where id = e.message_id offset 0) m
              where m.account_id = $3 and m.accepted_at between $4 and $5
           ) as settled`,
    [roles, id, accountId, dateFrom, to],
  )
  return settled
}
