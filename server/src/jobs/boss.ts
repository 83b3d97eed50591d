import { setTimeout as sleep } from 'node:timers/promises'
import { PgBoss } from 'pg-boss'
import type { Logger } from 'pino'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { idleTransactionTimeout, keepAlive, sessionOptions } from '../db/pool.ts'
import { isDatabaseLost } from '../db/probe.ts'
import { maskText } from '../lib/loggable-error.ts'
import type { Runtime } from '../runtime.ts'
import { bossOn, enqueue, type Job, queueOptions, type Schedule, schema } from './jobs.ts'

/**
 * Creates the schema of pg-boss, or migrates it to the installed version. It must run after every migration; several
 * processes may call it concurrently.
 */
export async function installJobs(databaseUrl: string): Promise<void> {
  const boss = new PgBoss({ connectionString: databaseUrl, schema, max: 1, supervise: false, schedule: false })
  boss.on('error', () => {}) // relevant errors reject `start`
  await boss.start()
  await boss.stop({ graceful: false })
}

export type RunningJobs = {
  /** Stops fetching jobs, aborts running jobs, and waits up to five seconds for them to end. */
  stop(): Promise<void>
  /** Waits until no job is due or running. For tests. */
  drain(): Promise<void>
}

/**
 * Runs these jobs in this process, and enqueues scheduled jobs, until it is stopped. It continues after a restart of
 * PostgreSQL. If a process dies, another one runs its job after about twelve seconds.
 */
export async function startJobs(rt: Runtime, jobs: Job[], schedules: Schedule[]): Promise<RunningJobs> {
  const boss = new PgBoss({
    connectionString: rt.databaseUrl,
    schema,
    max: 4,
    application_name: 'carillon jobs',
    options: sessionOptions(idleTransactionTimeout(rt.config.send.leaseMs)),
    ...keepAlive,
    schedule: false, // the schedules of pg-boss are in whole minutes; runSchedule is in seconds
    useListenNotify: true,
    superviseIntervalSeconds: 1,
    monitorIntervalSeconds: 1,
    maintenanceIntervalSeconds: 600,
    flowIntervalSeconds: 3_600,
    bamIntervalSeconds: 600,
  })
  const report = makeReporter(rt.log)
  boss.on('error', (error) => report('job queue', error))
  boss.on('warning', (warning) => report('job queue', new Error(warning.message)))
  await boss.start()

  const stopping = new AbortController()
  for (const job of jobs) {
    const options = queueOptions(job.options)
    await boss.createQueue(job.name, options)
    await boss.updateQueue(job.name, options)
    await boss.work(
      job.name,
      {
        includeMetadata: true,
        localConcurrency: job.options?.concurrency ?? 1,
        // NOTIFY announces new jobs immediately; polling finds jobs that are due again after a failure
        pollingIntervalSeconds: 2,
        notifyPollingIntervalSeconds: 2,
        heartbeatRefreshSeconds: 3,
      },
      async ([fetched]) => {
        if (!fetched) return
        const payload = fetched.data as object
        const signal = AbortSignal.any([fetched.signal, stopping.signal])
        try {
          await runThroughOutages(job, rt, payload, signal)
        } catch (error) {
          if (stopping.signal.aborted) throw error
          const isLast = fetched.retryCount >= fetched.retryLimit
          const fields = { err: error, job: job.name, attempt: fetched.retryCount + 1 }
          rt.log[isLast ? 'error' : 'warn'](fields, 'job failed')
          if (isLast) await job.onFinalFailure?.(rt, payload, error)
          throw error
        }
      },
    )
  }
  const timers = schedules.map((schedule) => runSchedule(rt, schedule, report))

  return {
    async stop() {
      for (const timer of timers) clearInterval(timer)
      stopping.abort(new Error('the process is stopping'))
      await boss.stop({ graceful: true, timeout: 5_000 })
    },
    async drain() {
      while (await hasWork(rt, jobs)) await sleep(20)
    },
  }
}

/**
 * Runs all waiting jobs of `rt.db`, and the jobs that they enqueue; throws the error of a job. For tests, because it works
 * inside a transaction that will be rolled back.
 */
export async function drainJobs(rt: Runtime, jobs: Job[]): Promise<void> {
  const boss = bossOn(rt.db)
  const queues = await boss.getQueues(jobs.map((job) => job.name))
  const known = jobs.filter((job) => queues.some((queue) => queue.name === job.name))
  for (let ran = true; ran; ) {
    ran = false
    for (const job of known) {
      for (const fetched of await boss.fetch<object>(job.name, { batchSize: 100, ignoreStartAfter: true })) {
        ran = true
        await job.run(rt, fetched.data, new AbortController().signal)
        await boss.complete(job.name, fetched.id)
      }
    }
  }
}

/** How often a run whose database connection is lost, while PostgreSQL responds, is repeated before it counts as failed. */
const lostConnections = 3

/**
 * Runs a job and retries it while PostgreSQL is unavailable, because pg-boss could not store its failure. A job that loses
 * its own connection each time fails like any other.
 */
async function runThroughOutages(job: Job, rt: Runtime, payload: object, signal: AbortSignal): Promise<void> {
  for (let lost = 0; ; ) {
    try {
      return await job.run(rt, payload, signal)
    } catch (error) {
      if (signal.aborted || !isDatabaseUnavailable(error)) throw error
      if (!(await isDatabaseLost(rt.db, error)) && ++lost > lostConnections) throw error
      await sleep(500, undefined, { signal })
    }
  }
}

async function hasWork(rt: Runtime, jobs: Job[]): Promise<boolean> {
  const { waiting } = await rt.db.one<{ waiting: boolean }>(
    'find_waiting_job',
    /* sql */ `
    select exists (select from pgboss.job
                    where name = any($1) and (state = 'active' or state < 'active' and start_after <= now())) as waiting`,
    [jobs.map((job) => job.name)],
  )
  return waiting
}

/** Enqueues one job per interval over all processes, but none while an earlier one waits, so that jobs do not accumulate. */
function runSchedule(rt: Runtime, { name, everySeconds, payload = {} }: Schedule, report: Report) {
  const enqueueOnce = async () => {
    try {
      const waiting = await bossOn(rt.db).findJobs(name, { queued: true })
      if (waiting.length === 0)
        await enqueue(rt.db, name, payload, { once: { key: 'schedule', perSeconds: everySeconds } })
    } catch (error) {
      report(`schedule ${name}`, error)
    }
  }
  void enqueueOnce()
  return setInterval(enqueueOnce, everySeconds * 1_000)
}

type Report = (source: string, error: unknown) => void

/** Logs each error at most once in ten seconds, because every poll fails while PostgreSQL is unavailable. */
function makeReporter(log: Logger): Report {
  const loggedAt = new Map<string, number>()
  return (source, error) => {
    const message = error instanceof Error ? error.message : String((error as { message?: unknown }).message ?? error)
    const key = `${source} ${message.replace(/\(Queue.*\)/, '')}`
    const now = performance.now()
    if (now - (loggedAt.get(key) ?? Number.NEGATIVE_INFINITY) < 10_000) return
    if (loggedAt.size > 100) loggedAt.clear()
    loggedAt.set(key, now)
    log.warn({ source, fault: maskText(message) }, 'job queue error')
  }
}
