import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'
import type { Skip, Warning } from './staged-rows.ts'

export type ImportStatus = 'queued' | 'running' | 'done' | 'failed'

export type Import = {
  id: number
  listId: number
  status: ImportStatus
  source: string | null
  ignoredColumns: string[]
  totalRows: number
  added: number
  updated: number
  unchanged: number
  keptOptedOut: number
  skipped: number
  skipReasons: Record<string, number>
  optedOut: number
  cleaned: number
  warningCount: number
  error: string | null
  createdAt: Date
  startedAt: Date | null
  completedAt: Date | null
}

const importColumns = /* sql */ `
  id, list_id as "listId", status, source, ignored_columns as "ignoredColumns", total_rows as "totalRows",
  added, updated, unchanged, kept_opted_out as "keptOptedOut", skipped, skip_reasons as "skipReasons",
  opted_out as "optedOut", cleaned, warning_count as "warningCount", error,
  created_at as "createdAt", started_at as "startedAt", completed_at as "completedAt"`

export function findImport(db: Db, accountId: number, listId: number, id: number) {
  return db.maybeOne<Import>(
    'find_import',
    /* sql */ `select ${importColumns} from imports where id = $1 and list_id = $2 and account_id = $3`,
    [id, listId, accountId],
  )
}

/** Returns a page of the list's imports, latest first. */
export function listImports(db: Db, listId: number, page: PageBounds) {
  return db.many<Import>(
    'list_imports',
    /* sql */ `select ${importColumns} from imports where list_id = $1 order by id desc limit $2 offset $3`,
    [listId, page.perPage, page.offset],
  )
}

/** Returns the number of the list's imports. */
export async function countImports(db: Db, listId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_imports',
    /* sql */ `select count(*) as n from imports where list_id = $1`,
    [listId],
  )
  return n
}

/** Returns the number of the account's imports that are not completed. */
export async function countOpenImports(db: Db, accountId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_open_imports',
    /* sql */ `select count(*) as n from imports where account_id = $1 and status in ('queued', 'running')`,
    [accountId],
  )
  return n
}

/** Returns the number of the account's imports that are not completed, and the bytes of rows of these and of all accounts. */
export function sumOpenImports(db: Db, accountId: number) {
  return db.one<{ open: number; ownBytes: number; allBytes: number }>(
    'sum_open_imports',
    /* sql */ `
    select count(*) filter (where account_id = $1) as open,
           coalesce(sum(staged_bytes) filter (where account_id = $1), 0)::bigint as "ownBytes",
           coalesce(sum(staged_bytes), 0)::bigint as "allBytes"
      from imports where status in ('queued', 'running')`,
    [accountId],
  )
}

/** Locks the sum of the bytes of open imports until the end of the transaction. */
export function lockStagedBytes(tx: Db) {
  return tx.exec('lock_staged_bytes', /* sql */ `select pg_advisory_xact_lock(hashtextextended('staged bytes', 0))`)
}

/** Returns the stored skips of an import (at most 1,000), in the order of their lines. */
export function listSkips(db: Db, importId: number) {
  return db.many<Skip>(
    'list_import_skips',
    /* sql */ `select line, reason, value from import_skips where import_id = $1 order by line`,
    [importId],
  )
}

/** Returns the stored warnings of an import (at most 1,000), in the order of their lines. */
export function listWarnings(db: Db, importId: number) {
  return db.many<Warning>(
    'list_import_warnings',
    /* sql */ `
    select line, column_name as column, reason, value from import_warnings where import_id = $1
     order by line, column_name`,
    [importId],
  )
}

export type NewImport = {
  accountId: number
  listId: number
  apiKeyId: number | null
  source: string | null
  now: Date
}

export function insertImport(db: Db, { accountId, listId, apiKeyId, source, now }: NewImport) {
  return db.one<{ id: number }>(
    'insert_import',
    /* sql */ `
    insert into imports (account_id, list_id, api_key_id, source, created_at)
    values ($1, $2, $3, $4, $5) returning id`,
    [accountId, listId, apiKeyId, source, now],
  )
}

export type Received = {
  totalRows: number
  stagedBytes: number
  ignoredColumns: string[]
  skipReasons: Record<string, number>
  skips: Skip[]
  warningCount: number
  warnings: Warning[]
}

/** Stores the counts, skips and warnings that the upload found. */
export async function markReceived(db: Db, id: number, received: Received) {
  const { totalRows, stagedBytes, ignoredColumns, skipReasons, skips, warningCount, warnings } = received
  const skipped = Object.values(skipReasons).reduce((sum, count) => sum + count, 0)
  await db.exec(
    'mark_import_received',
    /* sql */ `
    update imports
       set total_rows = $2, ignored_columns = $3, skipped = $4, skip_reasons = $5::jsonb, warning_count = $6,
           staged_bytes = $7
     where id = $1`,
    [id, totalRows, ignoredColumns, skipped, JSON.stringify(skipReasons), warningCount, stagedBytes],
  )
  await db.exec(
    'insert_import_skips',
    /* sql */ `
    insert into import_skips (import_id, line, reason, value)
    select $1, line, reason, value from unnest($2::bigint[], $3::text[], $4::text[]) as skip (line, reason, value)`,
    [id, skips.map((skip) => skip.line), skips.map((skip) => skip.reason), skips.map((skip) => skip.value)],
  )
  await db.exec(
    'insert_import_warnings',
    /* sql */ `
    insert into import_warnings (import_id, line, column_name, reason, value)
    select $1, w.* from unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) as w (line, column_name, reason, value)`,
    [
      id,
      warnings.map((warning) => warning.line),
      warnings.map((warning) => warning.column),
      warnings.map((warning) => warning.reason),
      warnings.map((warning) => warning.value),
    ],
  )
}

/** Sets the final status of an import, and its error if it failed. */
export async function markEnded(db: Db, importId: number, status: 'done' | 'failed', error: string | null, now: Date) {
  await db.exec(
    'mark_import_ended',
    /* sql */ `
    update imports set status = $2, error = $3, started_at = coalesce(started_at, $4), completed_at = $4 where id = $1`,
    [importId, status, error, now],
  )
}
