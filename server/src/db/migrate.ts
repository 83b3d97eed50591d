import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { assertRestored, createListOfMigrations } from './unfinished-restore.ts'

/** The folder of the migrations, with a slash at the end. */
export const migrationsFolder = fileURLToPath(new URL('../../migrations/', import.meta.url))

/** The advisory lock of a session that migrates a database or decides what it contains; no other code locks this number. */
export const migrationLock = 5_460_072

/** Returns the migrations of this version in their order, with the hashes of their contents. */
export async function listMigrations(): Promise<{ name: string; hash: string; sql: string }[]> {
  const files = (await readdir(migrationsFolder)).filter((file) => file.endsWith('.sql')).sort()
  return Promise.all(
    files.map(async (name) => {
      const sql = await readFile(`${migrationsFolder}${name}`, 'utf8')
      return { name, hash: createHash('sha256').update(sql).digest('hex'), sql }
    }),
  )
}

export type MigrateOptions = {
  /** The only files to run, which rebuilds an older state. */
  only?: ReadonlySet<string>
  /** Whether the caller is the restore that has marked the database as unfinished. */
  duringRestore?: boolean
}

/**
 * Runs the migrations that the database lacks, each in its own transaction, and returns their names. A lock makes concurrent
 * processes wait. Throws if a migration fails, if a file has changed since it ran, because existing databases have the old
 * version, or if a restore into the database has not ended.
 */
export async function migrate(databaseUrl: string, { only, duringRestore }: MigrateOptions = {}): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon migrate' })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    await client.query(createListOfMigrations)
    if (!duringRestore) await assertRestored(client)
    const done = new Map<string, string>(
      (await client.query('select name, hash from schema_migrations')).rows.map((row) => [row.name, row.hash]),
    )
    const ran: string[] = []
    for (const { name: file, hash, sql } of await listMigrations()) {
      if (only && !only.has(file)) continue
      const known = done.get(file)
      if (known === hash) continue
      if (known !== undefined) throw new Error(`migration ${file} has changed since it ran; add a new one instead`)
      await client.query('begin')
      try {
        await client.query(sql)
        await client.query('insert into schema_migrations (name, hash) values ($1, $2)', [file, hash])
        await client.query('commit')
      } catch (error) {
        await client.query('rollback')
        throw new Error(`migration ${file} failed: ${(error as Error).message}`, { cause: error })
      }
      ran.push(file)
    }
    return ran
  } finally {
    await client.end()
  }
}
