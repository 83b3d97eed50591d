import { PgBoss, type Db as SqlRunner } from 'pg-boss'
import type { Db } from '../db/db.ts'
import type { Runtime } from '../runtime.ts'

// Background work as the nouns see it: the type of a job, and how to enqueue one. boss.ts runs them.

/** A kind of background work. A run may be repeated, and may overlap with another, so both must be harmless. */
export type Job<Payload extends object = object> = {
  /** Also the queue's name: `imports.apply`. */
  name: string
  /** Runs the job; a throw means a retry. `signal` aborts when the process stops or another worker took the job. */
  run(rt: Runtime, payload: Payload, signal: AbortSignal): Promise<void>
  /** Called once after the last attempt has failed. */
  onGivenUp?(rt: Runtime, payload: Payload, error: unknown): Promise<void>
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

/** Enqueues a job once per interval of `everySeconds`, whatever number of processes run the schedule. */
export type Schedule = { name: string; everySeconds: number; payload?: object }

export const schema = 'pgboss'

/** A dead worker is detected after `heartbeatSeconds` (the library's minimum); retries wait 1 s, 2 s, ... 60 s. */
export function queueOptions(options: JobOptions = {}) {
  return {
    retryLimit: options.retries ?? 20,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
    expireInSeconds: options.expireSeconds ?? 900,
    heartbeatSeconds: 10,
    // finished jobs have no use: their results are in our own tables
    deleteAfterSeconds: 3_600,
    notify: true,
  }
}

export type EnqueueOptions = {
  /** Delay before the job is due. */
  startAfterSeconds?: number
  /** At most one job of this name and key per interval of `perSeconds`, finished jobs included. */
  once?: { key: string; perSeconds: number }
}

/**
 * Enqueues a job in the caller's transaction: it exists if and only if that commits. Creates the queue when no worker has
 * yet, so that roles may start in any order.
 */
export async function enqueue(tx: Db, name: string, payload: object, options: EnqueueOptions = {}): Promise<void> {
  const boss = bossOn(tx)
  if ((await boss.getQueue(name)) === null) {
    await tx.exec('create_job_queue', /* sql */ `select pgboss.create_queue($1, $2::jsonb)`, [
      name,
      JSON.stringify({ ...queueOptions(), policy: 'standard' }),
    ])
  }
  await boss.send(name, payload, {
    ...(options.startAfterSeconds !== undefined && { startAfter: options.startAfterSeconds }),
    ...(options.once && { singletonKey: options.once.key, singletonSeconds: options.once.perSeconds }),
  })
}

/** Returns the library's calls on a connection of ours. It is never started, so it polls nothing and owns nothing. */
export function bossOn(db: Db): PgBoss {
  const runner: SqlRunner = {
    executeSql: (text, values) => db.withClient((client) => client.query(text, values)),
  }
  return new PgBoss({ db: runner, schema })
}
