import type pg from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { waitFor } from '../../test/wait-for.ts'
import { type Db, poolDb } from './db.ts'
import { connectionLifetimeSeconds, makePool } from './pool.ts'
import { raw, sql } from './sql.ts'

const log = pino({ level: 'silent' })
const statementsPerDay = 27

let database: TestDatabase
let pools: pg.Pool[]
beforeEach(async () => {
  database = await freshDatabase()
  pools = []
})
afterEach(async () => {
  for (const pool of pools) await pool.end()
  await database.close()
})

function poolOf(lifetimeSeconds?: number): pg.Pool {
  const pool = makePool(database.url, log, { max: 1, ...(lifetimeSeconds !== undefined && { lifetimeSeconds }) })
  pools.push(pool)
  return pool
}

/** Runs as many statements with the day in their names as the send path has; returns the connection's statements and memory. */
async function runDay(db: Db, day: string) {
  await db.exec('ensure_log_day', sql`select ensure_log_day(${day}::date)`)
  for (let n = 0; n < statementsPerDay; n++) {
    await db.many(
      `dated_${n}_${day.replaceAll('-', '')}`,
      sql`select l.id from ${raw(`message_log_${day.replaceAll('-', '')}`)} l join messages m on m.id = l.message_id
           where l.id = any(${[1, 2]}::bigint[]) and l.state = 'queued' and m.paused_at is null and ${n} >= 0`,
    )
  }
  return db.one<{ backend: number; statements: number; bytes: number }>(
    'report_on_connection',
    sql`select pg_backend_pid() as backend,
               (select count(*) from pg_prepared_statements where name like 'dated%') as statements,
               (select sum(used_bytes)::bigint from pg_backend_memory_contexts) as bytes`,
  )
}

const daysFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, n) => new Date(Date.UTC(2031, 0, first + n)).toISOString().slice(0, 10))

test('the prepared statements of a connection accumulate without a lifetime', async () => {
  const db = poolDb(poolOf(0))
  const reports = []
  for (const day of daysFrom(1, 5)) reports.push(await runDay(db, day))
  expect(new Set(reports.map(({ backend }) => backend)).size).toBe(1)
  expect(reports.at(-1)?.statements).toBe(5 * statementsPerDay)
  expect(reports.at(-1)?.bytes).toBeGreaterThan((reports[0]?.bytes ?? 0) * 1.3)
})

test('a connection with a lifetime has no statements of earlier days', async () => {
  const pool = poolOf(1)
  const db = poolDb(pool)
  const reports = []
  for (const day of daysFrom(1, 5)) {
    const { backend, statements, bytes } = await runDay(db, day)
    reports.push({ statements, bytes })
    // the next day starts with the next connection
    await waitFor(
      async () => (await db.one<{ now: number }>('backend', sql`select pg_backend_pid() as now`)).now !== backend,
      { what: 'another connection' },
    )
  }
  // a connection that ends during a day has fewer statements
  expect(Math.max(...reports.map(({ statements }) => statements))).toBeLessThanOrEqual(statementsPerDay)
  expect(reports.at(-1)?.bytes).toBeLessThan((reports[0]?.bytes ?? 0) * 1.3)
})

test('every pool has the lifetime by default', () => {
  expect(poolOf().options.maxLifetimeSeconds).toBe(connectionLifetimeSeconds)
  expect(connectionLifetimeSeconds).toBeLessThanOrEqual(3_600)
})
