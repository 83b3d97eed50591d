import { kindOfError } from '../db/pg-errors.ts'
import { isDatabaseLost } from '../db/probe.ts'
import type { Runtime } from '../runtime.ts'
import { failuresUntilSetAside, recordFailure, type SweepName } from './failures.queries.ts'

export type SweepRt = Pick<Runtime, 'db' | 'clock' | 'log' | 'config'>

/**
 * One round of a sweep over all messages except those whose work has failed, or over `only` one; returns the number of
 * messages whose work succeeded, or whether there was any. An error of one message is recorded and does not affect the
 * others. Throws if the database is unavailable.
 */
export type Round<Rt, Result extends number | boolean> = (rt: Rt, only?: number) => Promise<Result>

/** Work on messages that a worker polls for. */
export type Sweep<Rt> = {
  name: string
  /**
   * Pause between two rounds, in milliseconds; null: a job runs it, in one worker at a time. A round that returns true
   * is repeated immediately.
   */
  everyMs: number | null
  round: Round<Rt, number | boolean>
}

type EachMessage<Rt, Found> = {
  sweep: SweepName
  /** Returns messages with work: those whose work has not failed, or only this one. */
  find: (rt: Rt, only: number | null) => Promise<Found[]>
  /** Does the work of one message; returns false if there was none. */
  apply: (rt: Rt, message: Found) => Promise<unknown>
}

/** Builds a round that processes one message after the other and returns the number of those whose work succeeded. */
export function eachMessage<Rt extends SweepRt, Found extends { messageId: number }>(
  work: EachMessage<Rt, Found>,
): Round<Rt, number> {
  return async (rt, only) => {
    let worked = 0
    for (const message of await work.find(rt, only ?? null)) {
      if (await succeeds(rt, work.sweep, message.messageId, () => work.apply(rt, message))) worked++
    }
    return worked
  }
}

type ManyMessages<Rt> = {
  sweep: SweepName
  /**
   * Claims messages whose work has not failed, or only this one, reports their ids to `claimed`, does their work in one
   * transaction, and returns whether there was any.
   */
  work: (rt: Rt, only: number | null, claimed: (messageIds: number[]) => void) => Promise<boolean>
}

/** Builds a round that processes many messages in one transaction, and each of them alone if that fails. */
export function manyMessages<Rt extends SweepRt>({ sweep, work }: ManyMessages<Rt>): Round<Rt, boolean> {
  return async (rt, only) => {
    let ids: number[] = []
    try {
      return await work(rt, only ?? null, (claimed) => {
        ids = claimed
      })
    } catch (error) {
      const [first] = ids
      if (first === undefined || (await isDatabaseLost(rt.db, error))) throw error
      if (ids.length === 1) await setBack(rt, sweep, first, error)
      else for (const id of ids) await succeeds(rt, sweep, id, () => work(rt, id, () => {}))
      return ids.length > 1
    }
  }
}

async function succeeds(rt: SweepRt, sweep: SweepName, messageId: number, work: () => Promise<unknown>) {
  try {
    return (await work()) !== false
  } catch (error) {
    if (await isDatabaseLost(rt.db, error)) throw error
    await setBack(rt, sweep, messageId, error)
    return false
  }
}

/** Records and logs that work on a message failed. */
async function setBack(rt: SweepRt, sweep: SweepName, messageId: number, error: unknown): Promise<void> {
  const failure = { messageId, sweep, error: kindOfError(error) }
  const attempts = await recordFailure(rt.db, failure, rt.clock.now())
  const fields = { err: error, message: messageId, sweep, attempts }
  if (attempts === failuresUntilSetAside) rt.log.error(fields, 'message set aside')
  else rt.log.warn(fields, 'work on a message failed, it is retried later')
}
