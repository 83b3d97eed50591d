import { PgBoss, type Db as SqlRunner } from 'pg-boss'
import type { Db } from '../db/db.ts'
import type { Runtime } from '../runtime.ts'

// What the nouns know of background work: what a job is, and how to ask for one. boss.ts runs them.

/** A piece of background work. It may be run twice, and beside itself, so it has to be harmless then. */
export type Job<Payload extends object = object> = {
  /** Also the queue's name: `imports.apply`. */
  name: string
  /** Does the work. A throw means: again, later. `signal` aborts when the process stops or the job was taken away. */
  run(rt: Runtime, payload: Payload, signal: AbortSignal): Promise<void>
  /** Told once when the last attempt has failed and nobody will try again. */
  gaveUp?(rt: Runtime, payload: Payload, error: unknown): Promise<void>
  options?: JobOptions
}

export type JobOptions = {
  /** Runs of this job at the same time in one process; 1. */
  concurrency?: number
  /** Attempts after the first; 20, which with the growing pauses is about a quarter of an hour. */
  retries?: number
  /** The longest that one run may take, alive or not; 15 minutes. */
  expireSeconds?: number
}

/** Asks for a job again and again: once per slot of `everySeconds`, however many processes run the schedule. */
export type Schedule = { name: string; everySeconds: number; payload?: object }

export const schema = 'pgboss'

/** A dead process is noticed after `heartbeatSeconds` (the library's least); a failed run pauses 1 s, 2 s, ... 60 s. */
export function queueOptions(options: JobOptions = {}) {
  return {
    retryLimit: options.retries ?? 20,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
    expireInSeconds: options.expireSeconds ?? 900,
    heartbeatSeconds: 10,
    // finished jobs are of no use to anybody: what they did is in our own tables
    deleteAfterSeconds: 3_600,
    notify: true,
  }
}

export type EnqueueOptions = {
  /** Not before this many seconds from now. */
  startAfterSeconds?: number
  /** At most one job of this name and key per slot of so many seconds, finished ones included. */
  once?: { key: string; perSeconds: number }
}

/**
 * Asks for a job in the caller's transaction: it exists when, and only when, that commits. A queue that no worker has
 * made yet is made on the way, so roles may start in any order.
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

/** The library's calls on a connection of ours: never started, so it polls nothing and owns nothing. */
export function bossOn(db: Db): PgBoss {
  const runner: SqlRunner = {
    executeSql: (text, values) => db.withClient((client) => client.query(text, values)),
  }
  return new PgBoss({ db: runner, schema })
}
