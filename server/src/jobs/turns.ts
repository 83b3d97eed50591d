import type { Db } from '../db/db.ts'
import { isRaceLost } from '../db/pg-errors.ts'
import { SliceSizes } from '../lib/slice-size.ts'
import type { Stopwatch } from '../lib/turn.ts'
import type { Runtime } from '../runtime.ts'
import { type EnqueueOptions, enqueue, type Job, type JobOptions } from './jobs.ts'

// Work that accounts queue, such as imports, is done in turns: one slice for one account, then one for the next account
// that has work. A job only announces that there is work; a run takes turns for all accounts, whoever enqueued it.

/** A unit of work of an account; `failures` is the number of consecutive turns that failed. */
export type AccountWork = { id: number; failures: number }

/** What a slice did: the rows that it passed, and whether the work has ended or is due only later. */
export type DoneSlice = { rows: number; ended: boolean }

/** The statements and rules of one kind of work. "Due" must mean the same in both statements. */
export type TurnQueue<W extends AccountWork> = {
  name: string
  /** Maximum number of rows of a slice. */
  maxRows: number
  /** Returns the first account above `after` with due work, or the first of all; undefined if none is due. */
  nextAccount(db: Db, after: number, now: Date): Promise<number | undefined>
  /** Returns the oldest due work of an account. The transaction is the only one that works on this account's queue. */
  claim(tx: Db, accountId: number, now: Date): Promise<W | undefined>
  /** Does one slice of up to `rows` rows, moves the cursor or ends the work, and sets its `failures` to 0, all in `tx`. */
  apply(tx: Db, rt: Runtime, work: W, rows: number): Promise<DoneSlice>
  /** Sets the `failures` of work whose turn failed, and the time from which it is due again. */
  postpone(tx: Db, work: W, failures: number, until: Date): Promise<unknown>
  /** Ends work whose turn has failed for the last time, with this error, so that it no longer blocks the account's other work. */
  giveUp(tx: Db, rt: Runtime, work: W, error: unknown): Promise<unknown>
  options?: Pick<JobOptions, 'concurrency'> & {
    /** Failed turns after which work is given up; default 20, about 15 minutes with the growing delays. */
    maxFailures?: number
    /** Whether a turn is repeated at once after this error, because another transaction interfered. */
    isRace?(error: unknown): boolean
    /** Whether work is given up at once after this error, because a repetition would fail as well. */
    isPermanent?(error: unknown): boolean
  }
}

/** Time after which a run ends and is enqueued again, far below the time limit of jobs. */
const maxRunMs = 60_000
const maxAttempts = 10

/**
 * Builds the job of a queue. An account has at most one turn at a time, over all workers, so a queue with a concurrency
 * of two serves others even during the longest slice of one account. Each turn is one transaction with its cursor, so a
 * killed worker loses at most a turn, and its locks end with its session.
 */
export function turnsJob<W extends AccountWork>(queue: TurnQueue<W>): Job {
  const rotation: Rotation = { lastAccount: 0 }
  return {
    name: queue.name,
    options: { concurrency: queue.options?.concurrency ?? 2 },
    async run(rt, _payload, signal) {
      const endAt = performance.now() + maxRunMs
      do signal.throwIfAborted()
      while ((await takeTurn(rt, queue, rotation)) && performance.now() < endAt)
      if (performance.now() >= endAt) await enqueue(rt.db, queue.name, {})
    },
  }
}

/** Announces work to the workers, in the transaction that queues it or postpones it. */
export function announceWork(
  tx: Db,
  queueName: string,
  options: Pick<EnqueueOptions, 'startAfterSeconds'> = {},
): Promise<void> {
  return enqueue(tx, queueName, {}, options)
}

/**
 * The account of the last turn, and the sizes of slices, of one worker. In memory: after a restart, the turns begin with
 * the first account again.
 */
export type Rotation = { lastAccount: number; sizes?: SliceSizes; stopwatch?: Stopwatch }

/** Takes the turn of the next account with due work that has no turn now; returns false if there is none. */
export async function takeTurn<W extends AccountWork>(
  rt: Runtime,
  queue: TurnQueue<W>,
  rotation: Rotation,
): Promise<boolean> {
  for (const busy = new Set<number>(); ; ) {
    const accountId = await queue.nextAccount(rt.db, rotation.lastAccount, rt.clock.now())
    if (accountId === undefined || busy.has(accountId)) return false
    rotation.lastAccount = accountId
    if (await takeTurnOf(rt, queue, rotation, accountId)) return true
    busy.add(accountId)
  }
}

/** A turn goes on with slices of the same work until it has lasted this long: the first ones are small. */
const shortTurnMs = 50

/**
 * Does a slice of the account's oldest due work, of as many rows as take about a quarter of a second, so that the turn of
 * an account with expensive rows is not longer than that of another. Returns false if there is no work, or if another worker
 * has the account's turn.
 */
async function takeTurnOf<W extends AccountWork>(
  rt: Runtime,
  queue: TurnQueue<W>,
  rotation: Rotation,
  accountId: number,
): Promise<boolean> {
  rotation.sizes ??= new SliceSizes(queue.maxRows)
  const { sizes, stopwatch = () => performance.now() } = rotation
  const isRace = queue.options?.isRace ?? (() => false)
  const turnStartedAt = stopwatch()
  let hasWorked = false
  for (let attempt = 1; ; attempt++) {
    let work: W | undefined
    const startedAt = stopwatch()
    let begunAt = startedAt
    try {
      const takeSlice = (db: Db) =>
        db.tx(async (tx) => {
          if (!(await lockTurn(tx, queue.name, accountId))) return undefined
          work = await queue.claim(tx, accountId, rt.clock.now())
          begunAt = stopwatch()
          return work && (await queue.apply(tx, rt, work, sizes.of(work.id).rows))
        })
      const slice = await (rt.smallWork ? rt.smallWork.run(accountId, rt.db, takeSlice) : takeSlice(rt.db))
      if (!work || !slice) return hasWorked
      const endedAt = stopwatch()
      if (slice.ended) sizes.delete(work.id)
      else sizes.of(work.id).took(slice.rows, endedAt - startedAt, begunAt - startedAt)
      if (slice.ended || endedAt - turnStartedAt >= shortTurnMs) return true
      hasWorked = true
      attempt = 0
    } catch (error) {
      if (work === undefined) throw error
      if (attempt < maxAttempts && (isRaceLost(error) || isRace(error))) continue
      sizes.of(work.id).failed()
      // an error that looks like a lost database may be caused by this work: only a failure to record it is an outage
      await recordFailure(rt, queue, { work, accountId, error })
      return true
    }
  }
}

async function recordFailure<W extends AccountWork>(
  rt: Runtime,
  queue: TurnQueue<W>,
  { work, accountId, error }: { work: W; accountId: number; error: unknown },
): Promise<void> {
  const failures = work.failures + 1
  const isLast = failures > (queue.options?.maxFailures ?? 20) || (queue.options?.isPermanent?.(error) ?? false)
  const delaySeconds = Math.min(2 ** work.failures, 60)
  await rt.db.tx(async (tx) => {
    if (isLast) await queue.giveUp(tx, rt, work, error)
    else await queue.postpone(tx, work, failures, new Date(rt.clock.now().getTime() + delaySeconds * 1_000))
    await enqueue(tx, queue.name, {}, isLast ? {} : { startAfterSeconds: delaySeconds })
  })
  const fields = { err: error, job: queue.name, account: accountId, id: work.id, attempt: failures }
  if (isLast) rt.log.error(fields, 'work given up after its last attempt')
  else rt.log.warn(fields, 'turn failed, retrying')
}

/** Locks the account's turn until the end of the transaction; returns false if another transaction has it. */
async function lockTurn(tx: Db, queueName: string, accountId: number): Promise<boolean> {
  const { locked } = await tx.one<{ locked: boolean }>(
    'lock_turn',
    /* sql */ `select pg_try_advisory_xact_lock(hashtextextended($1, $2)) as locked`,
    [`turns ${queueName}`, accountId],
  )
  return locked
}
