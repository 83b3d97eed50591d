import { PgBoss, type Db as SqlRunner } from 'pg-boss'
import type { Db } from '../db/db.ts'
import type { Runtime } from '../runtime.ts'

// The interface of background work for nouns: the type of a job, and enqueuing. boss.ts runs the jobs.

/** A kind of background work. Runs must be idempotent and may be concurrent, because a run may be repeated. */
export type Job<Payload extends object = object> = {
  /** The name of the queue, such as `imports.apply`. */
  name: string
  /** Runs the job, which is retried if this throws. `signal` aborts if the process stops or another worker has the job. */
  run(rt: Runtime, payload: Payload, signal: AbortSignal): Promise<void>
  /** Called once, after the last attempt has failed. */
  onFinalFailure?(rt: Runtime, payload: Payload, error: unknown): Promise<void>
  options?: JobOptions
}

export type JobOptions = {
  /** Concurrent runs in one process; default 1. */
  concurrency?: number
  /** Attempts after the first; default 20, about 15 minutes with the growing delays. */
  retries?: number
  /** Time limit of one run; default 15 minutes. */
  expireSeconds?: number
}

/** A job that is enqueued once per interval of `everySeconds`, for any number of processes that run the schedule. */
export type Schedule = { name: string; everySeconds: number; payload?: object }

export const schema = 'pgboss'

/** Returns the options of a queue. `heartbeatSeconds` is the library's minimum; retries wait 1 s, 2 s, ... 60 s. */
export function queueOptions(options: JobOptions = {}) {
  return {
    retryLimit: options.retries ?? 20,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
    expireInSeconds: options.expireSeconds ?? 900,
    heartbeatSeconds: 10,
    // finished jobs are not used: their results are in the tables of the nouns
    deleteAfterSeconds: 3_600,
    notify: true,
  }
}

export type EnqueueOptions = {
  /** Delay before the job is due. */
  startAfterSeconds?: number
  /** Enqueues at most one job of this name and key per interval of `perSeconds`, including finished jobs. */
  once?: { key: string; perSeconds: number }
}

/**
 * Enqueues a job in the caller's transaction, so that it exists if and only if the transaction commits. Creates the queue
 * if no worker has created it, so that roles may start in any order.
 */
export async function enqueue(tx: Db, name: string, payload: object, options: EnqueueOptions = {}): Promise<void> {
  const boss = bossOn(tx)
  const send = () =>
    boss.send(name, payload, {
      ...(options.startAfterSeconds !== undefined && { startAfter: options.startAfterSeconds }),
      ...(options.once && { singletonKey: options.once.key, singletonSeconds: options.once.perSeconds }),
    })
  try {
    await send()
  } catch (error) {
    // pg-boss reads the queue first, so the transaction goes on after this error
    if (!(error instanceof Error && error.message === `Queue ${name} does not exist`)) throw error
    await tx.exec('create_job_queue', /* sql */ `select pgboss.create_queue($1, $2::jsonb)`, [
      name,
      JSON.stringify({ ...queueOptions(), policy: 'standard' }),
    ])
    await send()
  }
}

/** Returns the methods of pg-boss on our database connection; it is never started, so it polls nothing. */
export function bossOn(db: Db): PgBoss {
  const runner: SqlRunner = {
    executeSql: (text, values) => db.withClient((client) => client.query(text, values)),
  }
  return new PgBoss({ db: runner, schema })
}
