import type { Db } from '../db/db.ts'

/** The hours in which people may be texted in a state on some weekdays. */
export type QuietHoursRow = {
  state: string
  /** 1 is Monday, 7 is Sunday. */
  weekdays: number[]
  /** Minutes since midnight; `to` is the first minute after the hours. */
  from: number
  to: number
  source: string
  /** The day on which the source was read, as YYYY-MM-DD. */
  asOf: string
  /** True for the account's own hours, false for legal hours. */
  own: boolean
}

const minutesOf = (column: string) => `(extract(epoch from ${column}::interval) / 60)::int`

/** Returns the hours in force for an account: its own hours in the states where it has any, and legal hours in the others. */
export function listQuietHours(db: Db, accountId: number | null) {
  return db.many<QuietHoursRow>(
    'list_quiet_hours',
    /* sql */ `
    select q.state, q.weekdays, ${minutesOf('q.from_time')} as "from", ${minutesOf('q.to_time')} as "to", q.source,
           q.as_of as "asOf", q.account_id is not null as own
      from quiet_hours q
     where q.account_id = $1
        or q.account_id is null
           and not exists (select from quiet_hours o where o.account_id = $1 and o.state = q.state)
     order by q.state, q.weekdays, q.id`,
    [accountId],
  )
}

/** The kinds of an account's texts that observe quiet hours. */
export type QuietHoursSwitches = { broadcasts: boolean; transactional: boolean }

export function findSwitches(db: Db, accountId: number) {
  return db.one<QuietHoursSwitches>(
    'find_quiet_hours_switches',
    /* sql */ `
    select quiet_hours as broadcasts, quiet_hours_transactional as transactional from accounts where id = $1`,
    [accountId],
  )
}

/**
 * Updates the switches; null does not change a switch. The lock on the account's row makes concurrent changes of its hours
 * wait for this transaction.
 */
export async function updateSwitches(
  tx: Db,
  accountId: number,
  given: { broadcasts: boolean | null; transactional: boolean | null },
) {
  await tx.exec(
    'update_quiet_hours_switches',
    /* sql */ `
    update accounts set quiet_hours = coalesce($2, quiet_hours),
                        quiet_hours_transactional = coalesce($3, quiet_hours_transactional)
     where id = $1`,
    [accountId, given.broadcasts, given.transactional],
  )
}

/** Replaces the legal hours of a state; a state without hours has those of `US`. */
export async function replaceLegalHours(tx: Db, state: string, hours: OwnHours[], asOf: string) {
  await tx.exec('delete_legal_hours', /* sql */ `delete from quiet_hours where account_id is null and state = $1`, [
    state,
  ])
  await insertHours(tx, null, hours, asOf)
}

export type OwnHours = { state: string; weekdays: number[]; from: number; to: number; source: string }

/** Replaces all of the account's own hours. */
export async function replaceOwnHours(tx: Db, accountId: number, hours: OwnHours[], asOf: string) {
  await tx.exec('delete_own_quiet_hours', /* sql */ `delete from quiet_hours where account_id = $1`, [accountId])
  await insertHours(tx, accountId, hours, asOf)
}

async function insertHours(tx: Db, accountId: number | null, hours: OwnHours[], asOf: string) {
  await tx.exec(
    'insert_quiet_hours',
    /* sql */ `
    insert into quiet_hours (account_id, state, weekdays, from_time, to_time, source, as_of)
    select $1, g.state, array(select jsonb_array_elements_text(g.weekdays)::smallint),
           time '00:00' + g.from * interval '1 minute',
           case g.to when 1440 then '24:00' else time '00:00' + g.to * interval '1 minute' end, g.source, $3
      from jsonb_to_recordset($2::jsonb)
           as g(state text, weekdays jsonb, "from" integer, "to" integer, source text)`,
    [accountId, JSON.stringify(hours), asOf],
  )
}
