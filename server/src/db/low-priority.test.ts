import { constants, getPriority } from 'node:os'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { makePool } from './pool.ts'

let database: TestDatabase | undefined
afterEach(() => database?.close())

test.runIf(process.platform === 'linux')(
  'statements of a background pool have a low priority, those of another one do not',
  async () => {
    database = await freshDatabase()
    const priorities: number[] = []
    for (const isBackground of [true, false]) {
      const pool = makePool(database.url, pino({ level: 'silent' }), { max: 2, isBackground })
      const clients = await Promise.all([pool.connect(), pool.connect()])
      for (const client of clients) {
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
        priorities.push(getPriority(rows[0]?.pid))
        client.release()
      }
      await pool.end()
    }
    const usual = getPriority()
    const low = Math.max(usual, constants.priority.PRIORITY_BELOW_NORMAL)
    expect(priorities).toEqual([low, low, usual, usual])
  },
)
