import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { accepted, Count, Id, Time, TimeOrNull, Whole, type Wire } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import type { ColumnMapping } from './columns.ts'
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
      description:
        'Whether an unknown column is an error (`reject`) or is skipped (`ignore`). A column that may state who must not ' +
        'be texted is always an error, unless `columns` has it.',
    }),
  ),
  columns: Type.Optional(
    accepted<string | Record<string, unknown>>({
      type: ['string', 'object'],
      documented: 'string',
      maxLength: 10_000,
      additionalProperties: { type: 'string' },
      description:
        'The meaning of columns: for each name in the file, a column, the key of a custom field, or `ignore`, as ' +
        '`columns[Home Phone]=phone_number` or as one JSON object. `custom_fields.` before a key states that the column ' +
        'says nothing about consent.',
    }),
  ),
})

const importKeys = {
  id: Id('Id of the import.'),
  list_id: Id('Id of the list.'),
  status: Type.Unsafe<Import['status']>({ type: 'string', enum: ['queued', 'running', 'done', 'failed'] }),
  source: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  total_rows: Count(),
  processed_rows: Count('added + updated + unchanged + kept_opted_out + skipped.'),
  percent_complete: Whole(0, 100),
  added: Count('Numbers that were new to the list, in any state.'),
  updated: Count('Numbers whose profile or state changed.'),
  unchanged: Count(),
  kept_opted_out: Count('Rows that did not resubscribe a number that opted out.'),
  skipped: Count(),
  skip_reasons: Type.Record(Type.String(), Count(), { description: 'Number of skipped rows for each reason.' }),
  opted_out: Count('Numbers that the file opted out; their rows are also counted above.'),
  cleaned: Count('Numbers that the file cleaned; their rows are also counted above.'),
  warning_count: Count('Optional values that could not be read and were left out.'),
  ignored_columns: Type.Array(Type.String()),
  error: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'Reason for the failure; null unless `status` is failed.',
  }),
  created_at: Time,
  started_at: TimeOrNull,
  completed_at: TimeOrNull,
}

/** Returns the meaning of columns in a validated query; throws if it is not an object of names. */
export function readColumns(given: string | Record<string, unknown> | undefined): ColumnMapping | undefined {
  if (given === undefined || given === '') return undefined
  const mapping = typeof given === 'string' ? parseJson(given) : given
  if (typeof mapping === 'object' && mapping !== null && !Array.isArray(mapping)) {
    const entries = Object.entries(mapping)
    if (entries.every(([, target]) => typeof target === 'string')) return Object.fromEntries(entries)
  }
  throw errors.invalid({ columns: ['must have a column, the key of a custom field or ignore for each name'] })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The id of an import in a path. */
export const ImportIdParam = idParam('Id of the import.', errors.importNotFound)

export const ImportSchema = Type.Object(importKeys, { title: 'Import' })

const Line = Whole(1, Number.MAX_SAFE_INTEGER, 'Line of the file, from 1.')
const Value = Type.String({ description: 'The value that is the reason, at most its first 100 characters.' })
const Skip = Type.Object({ line: Line, reason: Type.String(), value: Value }, { title: 'ImportSkip' })
const Warning = Type.Object(
  { line: Line, column: Type.String(), reason: Type.String(), value: Value },
  { title: 'ImportWarning' },
)

export const ImportQueuedResponse = Type.Object({ status: Type.Literal('Import queued'), import: ImportSchema })

export const ImportResponse = Type.Object({
  status: Type.Literal('OK'),
  import: Type.Object(
    {
      ...importKeys,
      skips: Type.Array(Skip, { description: 'The first 1,000 rows that were skipped or kept opted out.' }),
      warnings: Type.Array(Warning, { description: 'The first 1,000 values that were left out.' }),
    },
    { title: 'ImportDetail' },
  ),
})

export const ImportPage = pageSchema('imports', ImportSchema)

export function presentImport(found: Import, timeZone: string): Wire<typeof ImportSchema> {
  const { added, updated, unchanged, keptOptedOut, skipped, totalRows } = found
  const processed = added + updated + unchanged + keptOptedOut + skipped
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
    kept_opted_out: keptOptedOut,
    skipped,
    skip_reasons: found.skipReasons,
    opted_out: found.optedOut,
    cleaned: found.cleaned,
    warning_count: found.warningCount,
    ignored_columns: found.ignoredColumns,
    error: found.error,
    created_at: formatTime(found.createdAt, timeZone),
    started_at: formatTime(found.startedAt, timeZone),
    completed_at: formatTime(found.completedAt, timeZone),
  }
}
