import type { Db } from '../db/db.ts'
import type { Audience } from '../messages/audience/audience.ts'
import { type AlsoRead, audienceRows } from './audience.sql.ts'

export type AudienceSlice = {
  listId: number
  /** All of the list when there is none. */
  audience: Audience | null
  cursorPhone: number
  audienceAt: Date
  /** Subscribers to look at. */
  rows: number
  /** Custom fields whose values are read along. */
  fieldKeys: string[]
  /** Whether the carriers of the handsets are asked for. */
  withCarriers?: boolean
}

/** One of the audience, with what texts can say of people. */
export type AudienceRow = {
  phone: number
  subscribed: boolean
  firstName: string
  lastName: string
  email: string
  zipCode: string
  values: unknown[]
  /** Of the handset, as the look-up last said, or the list; null where it is not known or was not asked for. */
  carrier: number | null
}

export type AudienceRead = { people: AudienceRow[]; lastPhone: number | null; ended: boolean }

const profile: AlsoRead[] = ['first_name', 'last_name', 'email', 'zip_code'].map((name) => ({ name, from: [name] }))

const fieldValues: AlsoRead = {
  name: 'field_values',
  from: ['custom_fields'],
  as: 'array(select s.custom_fields -> key from unnest($6::text[]) with ordinality as asked(key, n) order by n)',
}

const lookedUp: AlsoRead = {
  name: 'looked_up',
  from: ['carrier'],
  as: 'coalesce((select n.carrier from number_look_ups n where n.phone = s.phone), nullif(s.carrier, 0))',
}

const notAsked: AlsoRead = { name: 'looked_up', from: [], as: 'null::int' }

const noValues: AlsoRead = { name: 'field_values', from: [], as: '$6::jsonb[]' }

/** The next of an audience after the cursor, and how far that looked. */
export async function readAudienceSlice(db: Db, slice: AudienceSlice): Promise<AudienceRead> {
  const { audience, fieldKeys } = slice
  const also = [...profile, fieldKeys.length > 0 ? fieldValues : noValues, slice.withCarriers ? lookedUp : notAsked]
  const rows = await db.many<AudienceRow & { rows: number; lastPhone: number | null }>(
    `read_audience${audience ? '_filtered' : ''}${fieldKeys.length > 0 ? '_with_fields' : ''}${slice.withCarriers ? '_with_carriers' : ''}`,
    /* sql */ `
    with ${audienceRows(audience ? '$1::jsonb' : undefined, also)}
    select a.phone, a.subscribed, a.first_name as "firstName", a.last_name as "lastName", a.email, a.zip_code as "zipCode",
           a.field_values as values, a.looked_up as carrier, p.rows, p.last_phone as "lastPhone"
      from passed p left join audience a on ${audience ? 'true' : '$1::jsonb is null'}
     order by a.phone`,
    [audience && JSON.stringify(audience), slice.listId, slice.cursorPhone, slice.audienceAt, slice.rows, fieldKeys],
  )
  const [first] = rows
  return {
    people: rows.filter((row) => row.phone !== null),
    lastPhone: first?.lastPhone ?? null,
    ended: (first?.rows ?? 0) < slice.rows,
  }
}
