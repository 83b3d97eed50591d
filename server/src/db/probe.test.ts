import pg from 'pg'
import { expect, test } from 'vitest'
import { freshDatabase, useDatabase } from '../../test/database.ts'
import { limitFiles } from '../../test/scenarios/faults/full-disk.ts'
import type { Db } from './db.ts'
import { isDatabaseLost, isErrorOfData } from './probe.ts'

const ctx = useDatabase()
const lost = { one: () => Promise.reject(new Error('Connection terminated')) } as unknown as Db
const silent = { one: () => new Promise(() => {}) } as unknown as Db

const ofServer = (code: string) => Object.assign(new pg.DatabaseError('failed', 1, 'error'), { code })
const ofSocket = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })

test('a session that ended is a lost database only if another session gets no response', async () => {
  for (const error of [ofSocket, ofServer('57P01'), ofServer('25P03')]) {
    expect(await isDatabaseLost(ctx.db, error)).toBe(false)
    expect(await isDatabaseLost(lost, error)).toBe(true)
    expect(await isDatabaseLost(silent, error, 10)).toBe(true)
  }
  expect(await isDatabaseLost(lost, ofServer('22003'))).toBe(false)
})

test('an error is one of the data if the database responds and has what it needs', async () => {
  for (const error of [ofSocket, ofServer('25P03')]) {
    expect(await isErrorOfData(ctx.db, error)).toBe(true)
    expect(await isErrorOfData(lost, error)).toBe(false)
  }
  expect(await isErrorOfData(ctx.db, ofServer('22003'))).toBe(true)
  for (const code of ['53100', '53200', '25006', '57014']) {
    expect(await isErrorOfData(ctx.db, ofServer(code)), code).toBe(false)
  }
})

test.skipIf(process.platform !== 'linux')('a file that cannot grow is no error of the data', async () => {
  const database = await freshDatabase()
  try {
    const fault = await database.db.withClient(async (client) => {
      await client.query('create table large (content text)')
      await client.query('alter table large alter content set storage plain')
      const { pid } = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0] ?? {}
      limitFiles([Number(pid)], 16) // WAL segments still fit
      const rows = `insert into large select repeat('x', 8000) from generate_series(1, 2100)`
      return await client.query(rows).catch((error) => error)
    })
    expect(fault).toMatchObject({ code: 'XX000', message: expect.stringMatching(/File too large/) })
    expect(await isErrorOfData(database.db, fault)).toBe(false)
  } finally {
    await database.close()
  }
})
