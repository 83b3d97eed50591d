import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { SchemaElement } from 'hyparquet'

/** `time` is an instant with microseconds; `date` is a calendar day. */
export type ParquetType = 'text' | 'int32' | 'int64' | 'time' | 'date' | 'boolean' | 'bytes'

export type ParquetColumn = { name: string; type: ParquetType }

/**
 * A cell. Writers accept, and readers return: strings for `text`; numbers for `int32`; bigints for `int64` (writers accept numbers, too);
 * microseconds since 1970 in UTC as bigints for `time` (writers accept numbers, too); days since 1970 as numbers for `date`.
 */
export type ParquetValue = string | number | bigint | boolean | Uint8Array | null

const elements: Record<ParquetType, Omit<SchemaElement, 'name'>> = {
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  int32: { type: 'INT32' },
  int64: { type: 'INT64' },
  time: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
  date: { type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } },
  boolean: { type: 'BOOLEAN' },
  bytes: { type: 'BYTE_ARRAY' },
}

/** Returns the schema of a file with these columns, all of which may be null. */
export function schemaOf(columns: readonly ParquetColumn[]): SchemaElement[] {
  return [
    { name: 'root', num_children: columns.length },
    ...columns.map(({ name, type }): SchemaElement => ({ name, ...elements[type], repetition_type: 'OPTIONAL' })),
  ]
}

/** Returns the columns of a schema; throws if a column has a type that we do not write. */
export function columnsOf(schema: readonly SchemaElement[]): ParquetColumn[] {
  return schema.slice(1).map((found) => {
    const type = (Object.keys(elements) as ParquetType[]).find(
      (each) => elements[each].type === found.type && elements[each].converted_type === found.converted_type,
    )
    if (type === undefined) throw new Error(`column ${found.name} of a Parquet file has an unexpected type`)
    return { name: found.name, type }
  })
}

/** All columns are compressed: with zstd, which is in Node and needs no package. */
export const codec = 'ZSTD'
export const compressors = { [codec]: (bytes: Uint8Array) => new Uint8Array(zstdCompressSync(bytes)) }
export const decompressors = { [codec]: (bytes: Uint8Array) => new Uint8Array(zstdDecompressSync(bytes)) }
