import type { Db } from '../db/db.ts'
import { logTable } from '../db/log-days.ts'
import type { Audience } from '../messages/audience.ts'
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

export type LogRow = {
  phone: number
  /** Why he gets nothing; null for who does. */
  reason: string | null
  /** His own text; null where it is the message's, letter for letter. */
  content: string | null
  partCount: number
}

/** Rows from `first` to `last`, by their places in the slice. */
export type ChunkOfSlice = {
  first: number
  last: number
  opensAt: Date
  closesAt: Date | null
  location: string | null
}

export type PersonalSlice = {
  messageId: number
  loggedOn: string
  lane: number
  at: Date
  rows: LogRow[]
  chunks: ChunkOfSlice[]
  lastPhone: number
}

/** Writes these recipients in their order, with their chunks and counters, and moves the cursor: all in one statement. */
export async function writePersonalSlice(tx: Db, slice: PersonalSlice): Promise<void> {
  const { rows, chunks } = slice
  await tx.exec(
    `write_personal_slice_${slice.loggedOn}`,
    /* sql */ `
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), logged as (
      insert into ${logTable(slice.loggedOn)}
             (id, logged_on, message_id, phone, state, reason, content, part_count, closed_at)
      select block.first_id + n - 1, $2::date, $1, phone,
             case when reason is null then 'queued' else 'suppressed' end::message_state, reason, content, part_count,
             case when reason is not null then $3::timestamptz end
        from block, unnest($5::bigint[], $6::text[], $7::text[], $8::smallint[]) with ordinality
                      as given(phone, reason, content, part_count, n)
       order by n
    ), chunks as (
      insert into send_chunks (message_id, short_code_id, paused, logged_on, lane, due_at, closes_at, place,
                               first_log_id, last_log_id)
      select $1, m.short_code_id, m.paused_at is not null, $2::date, $4, due_at, closes_at, place,
             block.first_id + first, block.first_id + last
        from block, messages m,
             unnest($9::int[], $10::int[], $11::timestamptz[], $12::timestamptz[], $15::text[]) with ordinality
               as given(first, last, due_at, closes_at, place, n)
       where m.id = $1
       order by n
    ), counted as (
      update message_counters c
         set audience = c.audience + cardinality($5::bigint[]), queued = c.queued + $13,
             suppressed = c.suppressed + cardinality($5::bigint[]) - $13
       where c.message_id = $1
    )
    update expansions e set cursor_phone = $14 where e.message_id = $1`,
    [
      slice.messageId,
      slice.loggedOn,
      slice.at,
      slice.lane,
      rows.map((row) => row.phone),
      rows.map((row) => row.reason),
      rows.map((row) => row.content),
      rows.map((row) => row.partCount),
      chunks.map((chunk) => chunk.first),
      chunks.map((chunk) => chunk.last),
      chunks.map((chunk) => chunk.opensAt),
      chunks.map((chunk) => chunk.closesAt),
      rows.filter((row) => row.reason === null).length,
      slice.lastPhone,
      chunks.map((chunk) => chunk.location),
    ],
  )
}
