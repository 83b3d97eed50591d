import { existsSync, readFileSync } from 'node:fs'
import { constants, getPriority } from 'node:os'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { waitFor } from '../../test/wait-for.ts'
import { makePool } from './pool.ts'

let database: TestDatabase | undefined
afterEach(() => database?.close())

/** Returns the priority of the process's autogroup, as the last word of `/autogroup-7 nice 10`; undefined if there are none. */
function priorityOfGroup(pid: number): string | undefined {
  const path = `/proc/${pid}/autogroup`
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split(' ').at(-1) : undefined
}

test.runIf(process.platform === 'linux')(
  'statements of a background pool have a low priority, those of another one do not',
  async () => {
    database = await freshDatabase()
    const priorities: number[] = []
    const groups: (string | undefined)[] = []
    for (const isBackground of [true, false]) {
      const pool = makePool(database.url, pino({ level: 'silent' }), { max: 2, isBackground })
      const clients = await Promise.all([pool.connect(), pool.connect()])
      for (const client of clients) {
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
        const pid = Number(rows[0]?.pid)
        if (isBackground) await waitFor(() => priorityOfGroup(pid) !== '0')
        priorities.push(getPriority(pid))
        groups.push(priorityOfGroup(pid))
        client.release()
      }
      await pool.end()
    }
    const usual = getPriority()
    const low = Math.max(usual, constants.priority.PRIORITY_BELOW_NORMAL)
    expect(priorities).toEqual([low, low, usual, usual])
    const lowGroup = existsSync('/proc/self/autogroup') ? '10' : undefined
    const usualGroup = lowGroup && '0'
    expect(groups).toEqual([lowGroup, lowGroup, usualGroup, usualGroup])
  },
)
