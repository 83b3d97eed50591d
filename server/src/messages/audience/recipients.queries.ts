import { fieldValues } from '../../custom-fields/custom-fields.sql.ts'
import type { Db } from '../../db/db.ts'
import { param, sql } from '../../db/sql.ts'
import { longestValue } from '../content/text-length.ts'

/**
 * Returns those of these numbers that have opted out of or been cleaned from the list, or are blocked on the short
 * code.
 */
export async function listOptedOut(
  db: Db,
  listId: number | null,
  shortCodeId: number,
  phones: number[],
): Promise<number[]> {
  const rows = await db.many<{ phone: number }>(
    'list_opted_out',
    /* sql */ `
    select g.phone
      from unnest($3::bigint[]) with ordinality as g(phone, n)
      left join lateral (select state from subscribers where list_id = $1 and phone = g.phone offset 0) s on true
      left join lateral (select since from blocks where short_code_id = $2 and phone = g.phone offset 0) b on true
     where s.state in ('unsubscribed', 'cleaned') or b.since is not null
     order by g.n`,
    [listId, shortCodeId, phones],
  )
  return rows.map((row) => row.phone)
}

/** Returns the time zone of the list's account. */
export async function findTimeZone(db: Db, listId: number): Promise<string> {
  const { timeZone } = await db.one<{ timeZone: string }>(
    'find_time_zone',
    /* sql */ `select a.time_zone as "timeZone" from lists l join accounts a on a.id = l.account_id where l.id = $1`,
    [listId],
  )
  return timeZone
}

export type PersonProfile = {
  phone: number
  firstName: string
  lastName: string
  email: string
  zipCode: string
  values: unknown[]
}

/**
 * Returns the profile of each of these numbers on the list, in their order; empty for a number that is not on it. Values
 * that are too long for any text are cut.
 */
export function listProfiles(db: Db, listId: number, phones: number[], fieldKeys: string[]) {
  return db.many<PersonProfile>(
    'list_profiles',
    sql`
    select g.phone, coalesce(s.first_name, '') as "firstName", coalesce(s.last_name, '') as "lastName",
           coalesce(s.email, '') as email, coalesce(s.zip_code, '') as "zipCode",
           ${fieldValues(param(fieldKeys), longestValue)} as values
      from unnest(${phones}::bigint[]) with ordinality as g(phone, n)
      left join lateral (
        select * from subscribers where list_id = ${listId} and phone = g.phone offset 0) s on true
     order by g.n`,
  )
}
