import type pg from 'pg'
import { copyOut, type OnCopiedRow } from '../db/copy-out.ts'
import type { Db } from '../db/db.ts'
import { param, raw, sql } from '../db/sql.ts'
import type { Clicked } from '../links/clicked.sql.ts'
import { logTable } from '../log/log-days.ts'
import { archivedLog } from './archive/archive-columns.ts'
import { type Direction, typeOfMessage } from './momt-columns.ts'
import type { MessageValues } from './momt-lines.ts'
import { type MomtTables, messageValues, moRows, mtRows, type RowFilters } from './momt-rows.sql.ts'

/** The rows that a report selects, without the period. */
export type MomtFilters = {
  direction: Direction | null
  statuses: string[] | null
  messageType: string | null
  shortCode: string | null
  listId: number | null
  messageId: number | null
  carrier: string | null
  phone: number | null
  reason: string | null
  clicked: Clicked | null
  link: string | null
}

export type MomtPeriod = { accountId: number; from: Date; to: Date }

/** A place in the order of a report: by the time of acceptance or arrival, the id of the message or MO, and the log id. */
export type MomtCursor = { at: Date; id: number; logId: number }

export type ReportedMessage = { id: number; at: Date; loggedOn: string; phone: number | null }

/** Returns the next accepted messages from a place on that match the filters, and the last one that was compared. */
export async function listReportedMessages(
  tx: Db,
  { accountId, to }: MomtPeriod,
  cursor: MomtCursor,
  filters: MomtFilters,
  limit: number,
): Promise<{ messages: ReportedMessage[]; last: MomtCursor | undefined; isEnd: boolean }> {
  const [messageType, listId, shortCode] = [param(filters.messageType), param(filters.listId), param(filters.shortCode)]
  const [phone, messageId] = [param(filters.phone), param(filters.messageId)]
  const rows = await tx.many<ReportedMessage & { isSelected: boolean }>(
    'list_reported_messages',
    sql`
    select m.id, m.accepted_at as at, m.logged_on::text as "loggedOn", m.phone,
           (${messageType}::text is null or ${raw(typeOfMessage)} = ${messageType}) and (${listId}::bigint is null or m.list_id = ${listId})
             and (${shortCode}::text is null or m.short_code_id = (select id from short_codes where code = ${shortCode}))
             and (${phone}::bigint is null or m.phone is null or m.phone = ${phone}) as "isSelected"
      from messages m
     where m.account_id = ${accountId} and m.accepted_at is not null and m.accepted_at <= ${to}
       and (m.accepted_at, m.id) >= (${cursor.at}, ${cursor.id}) and (${messageId}::bigint is null or m.id = ${messageId})
     order by m.accepted_at, m.id limit ${limit}`,
  )
  const last = rows.at(-1)
  return {
    messages: rows.filter(({ isSelected }) => isSelected),
    last: last && { at: last.at, id: last.id, logId: 0 },
    isEnd: rows.length < limit,
  }
}

/** Returns whether the log of a day exists. */
export async function isDayKept(tx: Db, day: string): Promise<boolean> {
  const { kept } = await tx.one<{ kept: boolean }>(
    'is_day_kept',
    /* sql */ `select to_regclass('message_log_' || to_char($1::date, 'YYYYMMDD')) is not null as kept`,
    [day],
  )
  return kept
}

export type LogRange = { messageId: number; first: number; last: number }

/** Returns the ranges of log ids of messages of one day, in the order of the messages; texts to one number are ranges of one id. */
export function listRanges(tx: Db, day: string, messages: readonly ReportedMessage[]) {
  const one = messages.flatMap(({ id, phone }) => (phone === null ? [] : [{ id, phone }]))
  return tx.many<LogRange>(
    `list_log_ranges_${day}`,
    /* sql */ `
    with wanted as (
      select id from unnest($1::bigint[]) as id
    ), blocks as (
      select w.id, min(c.first_log_id) as first, max(c.last_log_id) as last
        from wanted w join send_chunks c on c.message_id = w.id
       group by w.id, c.first_log_id / 16384
    ), ranges as (
      select w.id, r.first_log_id as first, r.last_log_id as last from wanted w join message_ranges r on r.message_id = w.id
       union all
      select id, first, last from blocks
       union all
      select o.id, l.id, l.id
        from unnest($2::bigint[], $3::bigint[]) as o (id, phone)
       cross join lateral (
         select id from ${logTable(day)} where phone = o.phone and message_id = o.id offset 0) l
    )
    select id as "messageId", first, last from ranges order by array_position($4::bigint[], id), first`,
    [
      messages.flatMap(({ id, phone }) => (phone === null ? [id] : [])),
      one.map(({ id }) => id),
      one.map(({ phone }) => phone),
      messages.map(({ id }) => id),
    ],
  )
}

/** Returns the next MOs of the account from a place on, in their order. */
export function listReportedMos(
  tx: Db,
  { accountId, to }: MomtPeriod,
  cursor: MomtCursor,
  shortCode: string | null,
  limit: number,
) {
  return tx.many<{ id: number; at: Date }>(
    'list_reported_mos',
    /* sql */ `
    select i.id, i.received_at as at
      from (select code from short_codes where account_id = $1 and ($6::text is null or code = $6)) s
     cross join lateral (
       select id, received_at from inbound_messages
        where short_code = s.code and received_at <= $2 and (received_at, id) > ($3, $4) and kind is distinct from 'part'
        order by received_at, id limit $5) i
     order by i.received_at, i.id limit $5`,
    [accountId, to, cursor.at, cursor.id, limit, shortCode],
  )
}

/** Returns the number of log rows of the account's messages in a period, according to their counters. */
export async function countReported(
  tx: Db,
  { accountId, from, to }: MomtPeriod,
  filters: MomtFilters,
): Promise<number> {
  const { n } = await tx.one<{ n: number }>(
    'count_reported',
    /* sql */ `
    select coalesce(sum(t.audience), 0)::bigint as n
      from messages m
     cross join lateral (select sum(audience) as audience from message_counters where message_id = m.id) t
     where m.account_id = $1 and m.accepted_at between $2 and $3
       and ($4::text is null or ${typeOfMessage} = $4) and ($5::bigint is null or m.list_id = $5)
       and ($6::text is null or m.short_code_id = (select id from short_codes where code = $6))
       and ($7::bigint is null or m.id = $7)`,
    [accountId, from, to, filters.messageType, filters.listId, filters.shortCode, filters.messageId],
  )
  return n
}

/** The rows of a slice: MTs of a day in ranges of log ids, which are in a temporary table if they come from an archive, or MOs. */
export type MomtSlice = { day: string; ranges: LogRange[]; isArchived?: boolean } | { ids: number[] }

const filtersOf = ({ phone, carrier, statuses, reason, clicked, listId, messageId }: MomtFilters): RowFilters => ({
  phone: phone !== null,
  carrier: carrier !== null,
  statuses: statuses !== null,
  reason: reason !== null,
  clicked: clicked !== null,
  replies: listId !== null || messageId !== null,
})

function queryOf(slice: MomtSlice, filters: MomtFilters, tables: MomtTables): string {
  if ('ids' in slice) return moRows(filtersOf(filters), tables)
  return mtRows(slice.isArchived ? archivedLog : String(logTable(slice.day)), filtersOf(filters), tables)
}

async function setSlice(tx: Db, slice: MomtSlice, filters: MomtFilters): Promise<MomtTables> {
  const { phone, carrier, statuses, listId, messageId, reason, clicked, link } = filters
  const given = {
    ...('ids' in slice
      ? { ids: slice.ids }
      : {
          ranges: slice.ranges.map(({ messageId, first, last }, n) => ({
            n,
            message_id: messageId,
            first_id: first,
            last_id: last,
          })),
        }),
    ...{ phone, carrier, statuses, list_id: listId, message_id: messageId, reason, clicked, link },
  }
  const { hasLookUps } = await tx.one<MomtTables>(
    'set_momt_slice',
    /* sql */ `
    select set_config('carillon.momt', $1, true),
           -- parallel workers would return the rows in any order
           set_config('max_parallel_workers_per_gather', '0', true),
           exists (select from number_look_ups) as "hasLookUps"`,
    [JSON.stringify(given)],
  )
  return { hasLookUps }
}

/** Returns the number of rows of a slice. */
export async function countSlice(tx: Db, slice: MomtSlice, filters: MomtFilters): Promise<number> {
  const tables = await setSlice(tx, slice, filters)
  // the text of the statement depends on each of these
  const variant = Object.values({ ...filtersOf(filters), ...tables })
    .map(Number)
    .join('')
  const rows = 'ids' in slice ? 'mos' : `mts_${slice.isArchived ? archivedLog : slice.day}`
  const name = `count_momt_${rows}_${variant}`
  return (await tx.one<{ n: number }>(name, `select count(*) as n from (${queryOf(slice, filters, tables)}) rows`)).n
}

/** Returns the values of the messages of a slice, in the order of its ranges. */
function listMessageValues(tx: Db, slice: MomtSlice): Promise<MessageValues[]> {
  if ('ids' in slice) return Promise.resolve([{}])
  return tx.many<MessageValues>(
    'list_message_values',
    /* sql */ `
    select ${messageValues} from unnest($1::bigint[]) with ordinality as w (id, n) join messages m on m.id = w.id order by n`,
    [slice.ranges.map(({ messageId }) => messageId)],
  )
}

/** The direction of the rows of a slice, and the messages whose indexes they have. */
export type RowsOfSlice = { direction: Direction; messages: readonly MessageValues[] }

/** Turns rows into bytes of a file: those that are worth taking while there are more rows, and then all. */
export type RowWriter = { write: OnCopiedRow; take(which: 'full' | 'all'): Buffer[] }

/** Copies the rows of a slice to `sink`, as the bytes of a writer, which is returned. The sink may use `tx` before it reads and after that. */
export async function copySlice<W extends RowWriter>(
  tx: Db,
  slice: MomtSlice,
  filters: MomtFilters,
  writerOf: (rows: RowsOfSlice) => W,
  sink: (bytes: AsyncIterable<Buffer>) => Promise<void>,
): Promise<W> {
  const tables = await setSlice(tx, slice, filters)
  const messages = await listMessageValues(tx, slice)
  const writer = writerOf({ messages, direction: 'ids' in slice ? 'mo' : 'mt' })
  const text = `copy (${queryOf(slice, filters, tables)}) to stdout (format binary)`
  const bytes = async function* (client: pg.ClientBase) {
    for await (const _ of copyOut(client, text, writer.write)) yield* writer.take('full')
    yield* writer.take('all')
  }
  await tx.withClient((client) => sink(bytes(client)))
  return writer
}
