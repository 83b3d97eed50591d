import type { Db } from '../../db/db.ts'
import { join, param, raw, sql } from '../../db/sql.ts'
import type { ParquetValue } from '../../files/parquet-columns.ts'
import { detachedLog, logTable } from '../../log/log-days.ts'
import type { LogRange, ReportedMessage } from '../momt-slices.queries.ts'
import { type ArchivedRow, archiveColumns, logColumns } from './archive-columns.ts'
import type { ArchiveCursor } from './archives.queries.ts'

/** Bits of the hash of a row of message_log: enough to tell rows apart, and few enough for a number. */
const hashOf = (row: string) => raw(`(hashtextextended(${row}::text, 0) & 281474976710655)`)

/** Returns the first account above `after` with messages that were accepted on a day; undefined if no account follows. */
export async function findNextAccount(db: Db, day: string, after: number): Promise<number | undefined> {
  const row = await db.maybeOne<{ id: number }>(
    'find_next_archived_account',
    /* sql */ `
    select id from accounts a
     where id > $2 and exists (select from messages where account_id = a.id and accepted_at >= $1::date::timestamptz
                                  and accepted_at < ($1::date + 1)::timestamptz)
     order by id limit 1`,
    [day, after],
  )
  return row?.id
}

/** Returns the next messages of an account and day from a place on, in the order of a MOMT report. */
export function listMessages(db: Db, day: string, { accountId, at, messageId }: ArchiveCursor, limit: number) {
  const loggedOn = param(day)
  return db.many<ReportedMessage>(
    'list_archived_messages',
    sql`
    select id, accepted_at as at, logged_on::text as "loggedOn", phone
      from messages
     where account_id = ${accountId} and accepted_at < (${loggedOn}::date + 1)::timestamptz
       and (accepted_at, id) >= (greatest(${at}::timestamptz, ${loggedOn}::date::timestamptz), ${messageId})
       and logged_on = ${loggedOn}::date and accepted_at is not null
     order by accepted_at, id limit ${limit}`,
  )
}

/** A row of a file, and the hash of its row of message_log. */
export type ReadRow = { cells: ArchivedRow; hash: number }

/** Reads the log rows of a day in ranges of messages, in their order. */
export async function readRows(tx: Db, day: string, ranges: readonly LogRange[]): Promise<ReadRow[]> {
  const rows = await tx.many<{ hash: number } & Record<string, ParquetValue>>(
    `read_archived_rows_${day}`,
    sql`
    select ${raw(logColumns.map(({ name, read }) => `${read(`l.${name}`)} as ${name}`).join(', '))},
           m.account_id, (extract(epoch from m.accepted_at) * 1000000)::bigint as accepted_at, m.kind as message_type, m.list_id,
           c.code as shortcode, ${hashOf('l')} as hash
      from unnest(${ranges.map(({ messageId }) => messageId)}::bigint[], ${ranges.map(({ first }) => first)}::bigint[],
                  ${ranges.map(({ last }) => last)}::bigint[]) with ordinality as s (message_id, first, last, n)
      join messages m on m.id = s.message_id
      join short_codes c on c.id = m.short_code_id
     cross join lateral (
       select * from ${logTable(day)} where id between s.first and s.last and message_id = s.message_id offset 0) l
     order by s.n, l.id`,
  )
  return rows.map(({ hash, ...row }) => ({ cells: archiveColumns.map(({ name }) => row[name] ?? null), hash }))
}

/** The number of rows of message_log, and the sum of their hashes. */
export type Sums = { rows: number; hash: bigint }

/** Returns the sums of the next rows of a day's table in the order of their ids, and the last id; null behind the last row. */
export async function sumRows(db: Db, day: string, isDetached: boolean, after: number, limit: number) {
  const table = isDetached ? raw(detachedLog(day)) : logTable(day)
  const { rows, hash, last } = await db.one<{ rows: number; hash: string; last: number | null }>(
    `sum_log_rows_of_${isDetached ? 'detached_' : ''}${day}`,
    sql`
    select count(*) as rows, coalesce(sum(${hashOf('l')}::numeric), 0)::text as hash, max(l.id) as last
      from (select * from ${table} where id > ${after} order by id limit ${limit}) l`,
  )
  return { rows, hash: BigInt(hash), last }
}

/** Loads rows of a file into the table `archivedLog`, in which the statements of reports find them. */
export async function loadRows(tx: Db, rows: readonly ArchivedRow[]): Promise<void> {
  await tx.exec('drop_archived_log', /* sql */ `drop table if exists pg_temp.archived_log`)
  await tx.exec(
    'create_archived_log',
    /* sql */ `create temp table archived_log (like message_log including defaults, primary key (id)) on commit drop`,
  )
  const arrays = logColumns.map(({ array }, n) => sql`${rows.map((row) => row[n] ?? null)}::${raw(array)}`)
  await tx.exec(
    'load_archived_log',
    sql`
    insert into archived_log (${raw(logColumns.map(({ name }) => name).join(', '))})
    select ${raw(logColumns.map(({ name, write }) => write(`r.${name}`)).join(', '))}
      from unnest(${join(arrays)}) as r (${raw(logColumns.map(({ name }) => name).join(', '))})`,
  )
}

/** Returns the sums of the rows that `loadRows` has written. */
export async function sumLoaded(tx: Db): Promise<Sums> {
  const { rows, hash } = await tx.one<{ rows: number; hash: string }>(
    'sum_archived_log',
    sql`select count(*) as rows, coalesce(sum(${hashOf('l')}::numeric), 0)::text as hash from archived_log l`,
  )
  return { rows, hash: BigInt(hash) }
}
