import { keySettings } from '../src/db/by-keys.ts'
import type { Db } from '../src/db/db.ts'
import { type Statement, textOf } from '../src/db/sql.ts'
import type { TestDatabase } from './database.ts'

export type Explained = {
  /** Rows that the statement returns. */
  rows: number
  /** Pages that it reads, from memory or from a file. */
  buffers: number
}

/** Executes the only statement of `run`, with these settings (by default those of `findByKeys`), and returns what it reads. */
export async function explain(
  database: TestDatabase,
  run: (db: Db) => Promise<unknown>,
  settings: Record<string, string> = keySettings,
): Promise<Explained> {
  let statement = ''
  let parameters: unknown[] = []
  const record = async (_: string, sql: Statement, values: unknown[] = []) => {
    statement = textOf(sql)
    parameters = values
    return [] as never
  }
  await run({ ...database.db, many: record })
  return database.db.withClient(async (client) => {
    for (const [name, value] of Object.entries(settings)) await client.query(`set ${name} = ${value}`)
    const { rows } = await client.query(`explain (analyze, buffers, format json) ${statement}`, parameters)
    await client.query('discard all')
    const plan = rows[0]['QUERY PLAN'][0].Plan
    return { rows: plan['Actual Rows'], buffers: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] }
  })
}
