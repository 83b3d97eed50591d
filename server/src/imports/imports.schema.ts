import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { formatTime, Time, TimeOrNull, type Wire } from '../http/schema.ts'
import type { Import } from './imports.queries.ts'

export const ImportQuery = Type.Object({
  source: Type.Optional(
    Type.String({
      maxLength: 255,
      description: 'Source of consent for rows without a `consent_source`; stored with the consent.',
    }),
  ),
  unknown_columns: Type.Optional(
    Type.Unsafe<'reject' | 'ignore'>({
      type: 'string',
      enum: ['reject', 'ignore'],
      default: 'reject',
      description: 'Whether an unknown column is an error (`reject`) or is skipped (`ignore`).',
    }),
  ),
})

const importKeys = {
  id: Type.Integer(),
  list_id: Type.Integer(),
  status: Type.Unsafe<Import['status']>({ type: 'string', enum: ['queued', 'running', 'done', 'failed'] }),
  source: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  total_rows: Type.Integer(),
  processed_rows: Type.Integer({ description: 'added + updated + unchanged + skipped.' }),
  percent_complete: Type.Integer(),
  added: Type.Integer({ description: 'Numbers that were new to the list.' }),
  updated: Type.Integer({ description: 'Numbers whose profile changed, or whose opt-in was pending.' }),
  unchanged: Type.Integer(),
  skipped: Type.Integer(),
  skip_reasons: Type.Record(Type.String(), Type.Integer(), { description: 'Number of skipped rows for each reason.' }),
  ignored_columns: Type.Array(Type.String()),
  error: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'Reason for the failure; null unless `status` is failed.',
  }),
  created_at: Time,
  started_at: TimeOrNull,
  completed_at: TimeOrNull,
}

/** The id of an import in a path. */
export const ImportIdParam = idParam('Id of the import.', errors.importNotFound)

export const ImportSchema = Type.Object(importKeys, { title: 'Import' })

const Skip = Type.Object({ line: Type.Integer({ description: 'Line of the file, from 1.' }), reason: Type.String() })

export const ImportQueuedResponse = Type.Object({ status: Type.Literal('Import queued'), import: ImportSchema })

export const ImportResponse = Type.Object({
  status: Type.Literal('OK'),
  import: Type.Object({
    ...importKeys,
    skips: Type.Array(Skip, { description: 'The first 1,000 skipped rows.' }),
  }),
})

export const ImportPage = pageSchema('imports', ImportSchema)

export function presentImport(found: Import, timeZone: string): Wire<typeof ImportSchema> {
  const { added, updated, unchanged, skipped, totalRows } = found
  const processed = added + updated + unchanged + skipped
  return {
    id: found.id,
    list_id: found.listId,
    status: found.status,
    source: found.source,
    total_rows: totalRows,
    processed_rows: processed,
    percent_complete: found.status === 'done' ? 100 : Math.floor((processed / Math.max(totalRows, 1)) * 100),
    added,
    updated,
    unchanged,
    skipped,
    skip_reasons: found.skipReasons,
    ignored_columns: found.ignoredColumns,
    error: found.error,
    created_at: formatTime(found.createdAt, timeZone),
    started_at: formatTime(found.startedAt, timeZone),
    completed_at: formatTime(found.completedAt, timeZone),
  }
}
