import { keySettings } from '../src/db/by-keys.ts'
import type { Db } from '../src/db/db.ts'
import type { Statement } from '../src/db/sql.ts'
import type { TestDatabase } from './database.ts'

export type Explained = {
  /** Rows that the statement returns. */
  rows: number
  /** Pages that it reads, from memory or from a file. */
  buffers: number
  /** Rows that the nodes of its plan compare or pass on, also those of rows that a filter removes. */
  compared: number
}

type PlanNode = Record<string, unknown> & { Plans?: PlanNode[] }

function comparedBy(node: PlanNode): number {
  const number = (key: string) => Number(node[key] ?? 0)
  const perLoop = number('Actual Rows') + number('Rows Removed by Filter') + number('Rows Removed by Join Filter')
  return (node.Plans ?? []).reduce((sum, each) => sum + comparedBy(each), perLoop * number('Actual Loops'))
}

/** Executes the only statement of `run`, with these settings (by default those of `findByKeys`), and returns what it reads; it changes nothing. */
export async function explain(
  database: Pick<TestDatabase, 'db'>,
  run: (db: Db) => Promise<unknown>,
  settings: Record<string, string> = keySettings,
): Promise<Explained> {
  let statement = ''
  let parameters: unknown[] = []
  const record = async (_: string, sql: Statement, values: unknown[] = []) => {
    const { text, values: own } = typeof sql === 'string' ? { text: sql, values } : sql.toStatement()
    statement = text
    parameters = own
    return [] as never
  }
  await run({ ...database.db, one: record, many: record, exec: record })
  return database.db.withClient(async (client) => {
    await client.query('begin')
    for (const [name, value] of Object.entries(settings)) await client.query(`set local ${name} = ${value}`)
    const { rows } = await client.query(`explain (analyze, buffers, format json) ${statement}`, parameters)
    await client.query('rollback')
    const plan = rows[0]['QUERY PLAN'][0].Plan
    return {
      rows: plan['Actual Rows'],
      buffers: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
      compared: comparedBy(plan),
    }
  })
}
