import type { ParquetColumn, ParquetValue } from '../../files/parquet-columns.ts'

// The columns of an archived day: those of message_log, in their order, and some of the row's message, so that a file can be read
// without the database.

/** The version of this form; a manifest names it. */
export const archiveFormat = 1

type LogColumn = ParquetColumn & {
  /** The type of an array of its Parquet values as a parameter. */
  array: string
  /** The SQL expression of its Parquet value, given the column. */
  read: (column: string) => string
  /** The SQL expression of its value, given the Parquet value. */
  write: (value: string) => string
}

const same = (value: string) => value
const plain = (type: ParquetColumn['type'], array: string) => ({ type, array, read: same, write: same })

/** Microseconds, so that no time is rounded. */
const time = {
  type: 'time' as const,
  array: 'bigint[]',
  read: (column: string) => `(extract(epoch from ${column}) * 1000000)::bigint`,
  write: (value: string) => `timestamptz 'epoch' + ${value} * interval '1 microsecond'`,
}

const date = {
  type: 'date' as const,
  array: 'int[]',
  read: (column: string) => `${column} - date '1970-01-01'`,
  write: (value: string) => `date '1970-01-01' + ${value}`,
}

const state = {
  type: 'text' as const,
  array: 'text[]',
  read: (column: string) => `${column}::text`,
  write: (value: string) => `${value}::message_state`,
}

/** The columns of message_log. */
export const logColumns: LogColumn[] = [
  { name: 'id', ...plain('int64', 'bigint[]') },
  { name: 'logged_on', ...date },
  { name: 'message_id', ...plain('int64', 'bigint[]') },
  { name: 'phone', ...plain('int64', 'bigint[]') },
  { name: 'state', ...state },
  { name: 'reason', ...plain('text', 'text[]') },
  { name: 'carrier_status', ...plain('text', 'text[]') },
  { name: 'part_count', ...plain('int32', 'int[]') },
  { name: 'parts_delivered', ...plain('int32', 'int[]') },
  { name: 'submitted_at', ...time },
  { name: 'closed_at', ...time },
  { name: 'content', ...plain('text', 'text[]') },
  { name: 'chunk_id', ...plain('int64', 'bigint[]') },
  { name: 'requeued_at', ...time },
]

const messageColumns: ParquetColumn[] = [
  { name: 'account_id', type: 'int64' },
  { name: 'accepted_at', type: 'time' },
  { name: 'message_type', type: 'text' },
  { name: 'list_id', type: 'int64' },
  { name: 'shortcode', type: 'text' },
]

/** All columns of a file. */
export const archiveColumns: ParquetColumn[] = [
  ...logColumns.map(({ name, type }) => ({ name, type })),
  ...messageColumns,
]

const indexOf = (name: string) => archiveColumns.findIndex((column) => column.name === name)

/** Where a row of a file has the values that the archive itself uses. */
export const at = {
  id: indexOf('id'),
  messageId: indexOf('message_id'),
  state: indexOf('state'),
  acceptedAt: indexOf('accepted_at'),
}

/** The cells of a row, in the order of `archiveColumns`. */
export type ArchivedRow = ParquetValue[]

/** The table into which rows of a file are loaded; it has the columns of message_log, and ends with its transaction. */
export const archivedLog = 'archived_log'
