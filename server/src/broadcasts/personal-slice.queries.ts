import { fieldValues } from '../custom-fields/custom-fields.sql.ts'
import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import type { Audience } from '../messages/audience/audience.ts'
import { longestValue } from '../messages/content/text-length.ts'
import { audienceRows, type ExtraColumn } from './audience.sql.ts'

export type AudienceSlice = {
  listId: number
  /** Null means the whole list. */
  audience: Audience | null
  cursorPhone: number
  audienceAt: Date
  /** Maximum number of subscribers to read. */
  rows: number
  /** Keys of the custom fields whose values are returned. */
  fieldKeys: string[]
  /** Whether to return what a flight plan needs besides: the carriers of the phones, and the numbers that are blocked. */
  withForecast?: boolean
}

/** A recipient, with the fields that merge tags can use. */
export type AudienceRow = {
  phone: number
  subscribed: boolean
  /** Whether the number is blocked at the list's short code; null if that was not requested. */
  stopped: boolean | null
  firstName: string
  lastName: string
  email: string
  zipCode: string
  values: unknown[]
  /**
   * The phone's carrier by the last look-up, otherwise as stored on the list; null if it is unknown or was not
   * requested.
   */
  carrier: number | null
}

export type AudienceRead = {
  /** Number of subscribers that were read; `people` are those of them who belong to the audience. */
  rows: number
  people: AudienceRow[]
  lastPhone: number | null
  ended: boolean
}

/** Maximum number of characters of custom values in one read: they take up to four octets in the response. */
const charactersAtOnce = 8_000_000

const profile: ExtraColumn[] = ['first_name', 'last_name', 'email', 'zip_code'].map((name) => ({ name, from: [name] }))

const valuesOf = (fieldKeys: string[]): ExtraColumn => ({
  name: 'field_values',
  from: ['custom_fields'],
  as: fieldValues(param(fieldKeys), longestValue),
})

const carrierOfPhone: ExtraColumn = {
  name: 'looked_up',
  from: ['carrier'],
  as: sql`coalesce((select n.carrier from number_look_ups n where n.phone = s.phone), nullif(s.carrier, 0))`,
}

// a scalar subquery with offset 0 has one plan: a look-up per phone
const blocked = (listId: number): ExtraColumn => ({
  name: 'stopped',
  from: [],
  as: sql`coalesce((select true from blocks
                     where short_code_id = (select short_code_id from lists where id = ${listId})
                       and phone = s.phone offset 0), false)`,
})

const notRequested: ExtraColumn = { name: 'stopped', from: [], as: sql`null::boolean` }

const noCarrier: ExtraColumn = { name: 'looked_up', from: [], as: sql`null::int` }

const noValues: ExtraColumn = { name: 'field_values', from: [], as: sql`'{}'::jsonb[]` }

/**
 * Returns the next recipients of an audience after the cursor, and the last phone that was read: at most `rows`, and
 * fewer if the message has many custom fields. Values that are too long for any text are cut.
 */
export async function readAudienceSlice(db: Db, slice: AudienceSlice): Promise<AudienceRead> {
  const { audience, fieldKeys } = slice
  const rows = Math.max(1, Math.min(slice.rows, Math.floor(charactersAtOnce / (fieldKeys.length * longestValue))))
  const extra = [
    ...profile,
    fieldKeys.length > 0 ? valuesOf(fieldKeys) : noValues,
    slice.withForecast ? carrierOfPhone : noCarrier,
    slice.withForecast ? blocked(slice.listId) : notRequested,
  ]
  const read = await db.many<AudienceRow & { rows: number; lastPhone: number | null }>(
    `read_audience${audience ? '_filtered' : ''}${fieldKeys.length > 0 ? '_with_fields' : ''}${slice.withForecast ? '_with_forecast' : ''}`,
    sql`
    with ${audienceRows({ ...slice, rows }, audience ? sql`${JSON.stringify(audience)}::jsonb` : undefined, extra)}
    select a.phone, a.subscribed, a.first_name as "firstName", a.last_name as "lastName", a.email, a.zip_code as "zipCode",
           a.field_values as values, a.looked_up as carrier, a.stopped, p.rows, p.last_phone as "lastPhone"
      from progress p left join audience a on true
     order by a.phone`,
  )
  const [first] = read
  return {
    rows: first?.rows ?? 0,
    people: read.filter((row) => row.phone !== null),
    lastPhone: first?.lastPhone ?? null,
    ended: (first?.rows ?? 0) < rows,
  }
}
