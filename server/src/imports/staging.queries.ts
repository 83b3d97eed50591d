import type { Writable } from 'node:stream'
import { from as copyFrom } from 'pg-copy-streams'
import type { Db } from '../db/db.ts'

/**
 * Runs a statement on the staging table of one import and returns its rows. The statement is not prepared, because it
 * contains the table's name: each import would add prepared statements to every database connection.
 */
export async function runUnprepared<T>(db: Db, sql: string, params?: unknown[]): Promise<T[]> {
  return db.withClient(async (client) => (await client.query(sql, params)).rows as T[])
}

/** Returns the name of the import's staging table. */
export function rowsTable(importId: number): string {
  return `import_rows_${Math.trunc(importId)}`
}

/** Creates the staging table, without autovacuum, which would only delay dropping the table. */
export async function createRowsTable(db: Db, importId: number) {
  await runUnprepared(
    db,
    /* sql */ `
    create table ${rowsTable(importId)} (
      line bigint not null, phone bigint not null,
      first_name text, last_name text, email text, zip_code text, birthdate text, gender text, tags text,
      consented_at timestamptz, consent_source text, consent_text text, custom_fields jsonb,
      stated_state text, stated_at timestamptz
    ) with (autovacuum_enabled = off)`,
  )
}

/** Calls `write` with a stream into the staging table, in the transaction that created the table (`freeze` requires it). */
export function copyRows(db: Db, importId: number, write: (stream: Writable) => Promise<void>) {
  return db.withClient((client) =>
    write(client.query(copyFrom(`copy ${rowsTable(importId)} from stdin with (freeze)`))),
  )
}

/** Indexes the staging table for slices, which read in the order of (phone, line): the rows of one number are adjacent. */
export async function indexRows(db: Db, importId: number) {
  const table = rowsTable(importId)
  // one round trip for both
  await runUnprepared(db, /* sql */ `create unique index on ${table} (phone, line); analyze ${table}`)
}

export async function dropRowsTable(db: Db, importId: number) {
  await runUnprepared(db, /* sql */ `drop table if exists ${rowsTable(importId)}`)
}
