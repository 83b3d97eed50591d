import { setTimeout as sleep } from 'node:timers/promises'
import { PgBoss } from 'pg-boss'
import type { Logger } from 'pino'
import { isDatabaseAway } from '../db/pg-errors.ts'
import { boundedBy, keepAlive, sessionOptions } from '../db/pool.ts'
import type { Runtime } from '../runtime.ts'
import { bossOn, enqueue, type Job, queueOptions, type Schedule, schema } from './jobs.ts'

/**
 * Makes the library's schema, or brings it up to the installed version. Belongs to migrating; safe when several
 * processes do it at once.
 */
export async function installJobs(databaseUrl: string): Promise<void> {
  const boss = new PgBoss({ connectionString: databaseUrl, schema, max: 1, supervise: false, schedule: false })
  boss.on('error', () => {}) // what matters here rejects
  await boss.start()
  await boss.stop({ graceful: false })
}

export type RunningJobs = {
  /** Takes no more jobs, tells the running ones to come to an end, and waits for them up to five seconds. */
  stop(): Promise<void>
  /** Waits until no job is due or running; for tests. */
  drain(): Promise<void>
}

/**
 * Runs these jobs in this process until it is stopped, and asks for the scheduled ones. It outlives a restart of
 * PostgreSQL; a job whose process died is taken up by another within about twelve seconds.
 */
export async function startJobs(rt: Runtime, jobs: Job[], schedules: Schedule[]): Promise<RunningJobs> {
  const boss = new PgBoss({
    connectionString: rt.databaseUrl,
    schema,
    max: 4,
    application_name: 'carillon jobs',
    options: sessionOptions(boundedBy(rt.config.send.leaseMs)),
    ...keepAlive,
    schedule: false, // its cron knows minutes only; ours is below
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
        // a new job wakes us at once; polling finds what is due again after a failure
        pollingIntervalSeconds: 2,
        notifyPollingIntervalSeconds: 2,
        heartbeatRefreshSeconds: 3,
      },
      async ([taken]) => {
        if (!taken) return
        const payload = taken.data as object
        const signal = AbortSignal.any([taken.signal, stopping.signal])
        try {
          await runThroughOutages(job, rt, payload, signal)
        } catch (error) {
          if (stopping.signal.aborted) throw error
          const last = taken.retryCount >= taken.retryLimit
          rt.log[last ? 'error' : 'warn']({ err: error, job: job.name, attempt: taken.retryCount + 1 }, 'job failed')
          if (last) await job.gaveUp?.(rt, payload, error)
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
 * Runs every job that is waiting on `rt.db`, and those they ask for, until none is left; what a job throws comes
 * through. For tests: it works inside a transaction that will be rolled back.
 */
export async function drainJobs(rt: Runtime, jobs: Job[]): Promise<void> {
  const boss = bossOn(rt.db)
  const queues = await boss.getQueues(jobs.map((job) => job.name))
  const known = jobs.filter((job) => queues.some((queue) => queue.name === job.name))
  for (let ran = true; ran; ) {
    ran = false
    for (const job of known) {
      for (const taken of await boss.fetch<object>(job.name, { batchSize: 100, ignoreStartAfter: true })) {
        ran = true
        await job.run(rt, taken.data, new AbortController().signal)
        await boss.complete(job.name, taken.id)
      }
    }
  }
}

/** While PostgreSQL is away a failure could not be written down, and would cost a heartbeat; so the run waits here. */
async function runThroughOutages(job: Job, rt: Runtime, payload: object, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await job.run(rt, payload, signal)
    } catch (error) {
      if (!isDatabaseAway(error) || signal.aborted) throw error
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

/** One job per slot over all processes; none while an earlier one still waits, so that nothing piles up. */
function runSchedule(rt: Runtime, { name, everySeconds, payload = {} }: Schedule, report: Report) {
  const ask = async () => {
    try {
      const waiting = await bossOn(rt.db).findJobs(name, { queued: true })
      if (waiting.length === 0)
        await enqueue(rt.db, name, payload, { once: { key: 'schedule', perSeconds: everySeconds } })
    } catch (error) {
      report(`schedule ${name}`, error)
    }
  }
  void ask()
  return setInterval(ask, everySeconds * 1_000)
}

type Report = (what: string, error: unknown) => void

/** While PostgreSQL is away every poll fails: the log hears of one and the same fault every ten seconds, not more. */
function makeReporter(log: Logger): Report {
  const heard = new Map<string, number>()
  return (what, error) => {
    const message = error instanceof Error ? error.message : String((error as { message?: unknown }).message ?? error)
    const key = `${what} ${message.replace(/\(Queue.*\)/, '')}`
    const now = performance.now()
    if (now - (heard.get(key) ?? Number.NEGATIVE_INFINITY) < 10_000) return
    if (heard.size > 100) heard.clear()
    heard.set(key, now)
    log.warn({ what, fault: message }, 'background work is hindered')
  }
}
