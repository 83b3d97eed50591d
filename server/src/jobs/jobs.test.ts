import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { freshDatabase, type TestDatabase, useDatabase } from '../../test/database.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { drainJobs, installJobs, type RunningJobs, startJobs } from './boss.ts'
import { enqueue, type Job } from './jobs.ts'

const rolledBack = useDatabase()
let database: TestDatabase
let running: RunningJobs[] = []

beforeEach(async () => {
  database = await freshDatabase()
})
afterEach(async () => {
  await Promise.all(running.map((jobs) => jobs.stop()))
  running = []
  await database.close()
})

async function start(jobs: Job[], schedules: Parameters<typeof startJobs>[2] = []) {
  const started = await startJobs(makeRuntime(database), jobs, schedules)
  running.push(started)
  return started
}

test('a job exists if and only if the transaction that enqueued it commits', async () => {
  const ran: unknown[] = []
  await expect(
    database.db.tx(async (tx) => {
      await enqueue(tx, 'test.note', { n: 1 })
      throw new Error('rolled back')
    }),
  ).rejects.toThrow('rolled back')
  await database.db.tx((tx) => enqueue(tx, 'test.note', { n: 2 }))

  const jobs = await start([{ name: 'test.note', run: async (_rt, payload) => void ran.push(payload) }])
  await jobs.drain()
  expect(ran).toEqual([{ n: 2 }])
})

test('a new job runs immediately, without waiting for a poll', async () => {
  const ran = vi.fn()
  await start([{ name: 'test.note', run: async () => ran() }])
  await enqueue(database.db, 'test.note', {})
  await waitFor(() => ran.mock.calls.length === 1)
  const startedAt = performance.now()
  const rounds = 10
  for (let n = 0; n < rounds; n++) {
    await enqueue(database.db, 'test.note', {})
    await waitFor(() => ran.mock.calls.length === 2 + n)
  }
  // a poll, every 2 s, finds a job after 1 s on average
  expect((performance.now() - startedAt) / rounds).toBeLessThan(800)
})

test('a failed run is retried, and onFinalFailure is called after the last attempt', async () => {
  const attempts: number[] = []
  const onFinalFailure = vi.fn()
  await start([
    {
      name: 'test.fail',
      options: { retries: 1 },
      run: async () => {
        attempts.push(performance.now())
        throw new Error('always fails')
      },
      onFinalFailure: async (_rt, payload, error) => onFinalFailure(payload, (error as Error).message),
    },
  ])
  await enqueue(database.db, 'test.fail', { n: 7 })
  await waitFor(() => onFinalFailure.mock.calls.length > 0, { timeoutMs: 15_000 })
  expect(attempts).toHaveLength(2)
  expect((attempts[1] ?? 0) - (attempts[0] ?? 0)).toBeGreaterThan(900)
  expect(onFinalFailure.mock.calls).toEqual([[{ n: 7 }, 'always fails']])
})

test('another worker runs the job of a dead worker', async () => {
  const ran = vi.fn()
  await enqueue(database.db, 'test.note', {})
  await database.db.exec(
    'mark_job_as_dead',
    `update pgboss.job set state = 'active', started_on = now(), heartbeat_on = now() - interval '11 s'`,
  )
  await start([{ name: 'test.note', run: async () => ran() }])
  await waitFor(() => ran.mock.calls.length === 1, { timeoutMs: 10_000 })
})

test('stopping aborts a running job, and the next process runs it', async () => {
  const started = vi.fn()
  const waitingJob: Job = {
    name: 'test.slow',
    run: (_rt, _payload, signal) =>
      new Promise((_resolve, reject) => {
        started()
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
  }
  const first = await start([waitingJob])
  await enqueue(database.db, 'test.slow', {})
  await waitFor(() => started.mock.calls.length === 1)
  running = []
  await first.stop()

  const ran = vi.fn()
  await start([{ ...waitingJob, run: async () => ran() }])
  await waitFor(() => ran.mock.calls.length === 1, { timeoutMs: 10_000 })
})

test('jobs run after all connections were lost', async () => {
  const ran = vi.fn()
  await start([{ name: 'test.note', run: async () => ran() }])
  await database.db.many(
    'terminate_connections',
    `select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'carillon jobs' and datname = current_database()`,
  )
  await enqueue(database.db, 'test.note', {})
  await waitFor(() => ran.mock.calls.length === 1, { timeoutMs: 10_000 })
})

test('a run that lost its database connection is repeated without a retry of the job', async () => {
  const ran: number[] = []
  await start([
    {
      name: 'test.query',
      run: async (rt) => {
        ran.push(performance.now())
        if (ran.length === 1)
          await rt.db.many('terminate_own_connection', 'select pg_terminate_backend(pg_backend_pid())')
      },
    },
  ])
  await enqueue(database.db, 'test.query', {})
  await waitFor(
    async () =>
      (
        await database.db.one<{ done: boolean }>(
          'is_done',
          `select count(*) filter (where state = 'completed' and retry_count = 0) = 1 as done from pgboss.job`,
        )
      ).done,
  )
  expect(ran).toHaveLength(2)
})

test('a schedule runs once per interval over all processes', async () => {
  const ran: number[] = []
  const job: Job = { name: 'test.tick', run: async () => void ran.push(Math.floor(Date.now() / 1_000)) }
  await start([job], [{ name: 'test.tick', everySeconds: 1 }])
  await start([job], [{ name: 'test.tick', everySeconds: 1 }])
  await waitFor(() => ran.length >= 3, { timeoutMs: 10_000 })
  const { count } = await database.db.one<{ count: number }>(
    'count_slots',
    'select count(*) - count(distinct singleton_on) as count from pgboss.job',
  )
  expect(count).toBe(0)
})

test('several processes may install the queue concurrently', async () => {
  await database.db.exec('drop_schema', 'drop schema pgboss cascade')
  await Promise.all([1, 2, 3].map(() => installJobs(database.url)))
  await enqueue(database.db, 'test.note', {})
})

test('drained jobs run inside the transaction of the test', async () => {
  const ran: unknown[] = []
  const rt = { ...makeRuntime(database), db: rolledBack.db, log: pino({ level: 'silent' }) }
  const jobs: Job[] = [
    { name: 'test.first', run: async () => enqueue(rt.db, 'test.second', { n: 2 }, { startAfterSeconds: 60 }) },
    { name: 'test.second', run: async (_rt, payload) => void ran.push(payload) },
  ]
  await enqueue(rt.db, 'test.second', { n: 1 })
  await enqueue(rt.db, 'test.first', {})
  await drainJobs(rt, jobs)
  // in any order, because now() is constant in a transaction
  expect(ran).toHaveLength(2)
  expect(ran).toEqual(expect.arrayContaining([{ n: 1 }, { n: 2 }]))
})
