import { allOrEach, type Choice } from '../db/all-or-each.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'

/**
 * One round of a sweep; returns the number of items it worked on, or whether there were any. `failed` has the ids of
 * messages whose work failed in earlier rounds: they are skipped until there is nothing else to do, and then tried again.
 */
export type Round<Rt, Result extends number | boolean> = (rt: Rt, failed?: Set<number>) => Promise<Result>

/** Work on messages that a worker looks for repeatedly. */
export type Sweep<Rt> = {
  name: string
  /** Pause between two rounds of a worker; null: a job does it, in one worker at a time. A round that returns true is repeated at once. */
  everyMs: number | null
  round: Round<Rt, number | boolean>
}

type EachMessage<Rt, Found> = {
  /** Messages with work, except those of the ids. */
  find: (rt: Rt, except: number[]) => Promise<Found[]>
  /** Does the work of one message; returns false when there was none. */
  apply: (rt: Rt, message: Found) => Promise<unknown>
}

/**
 * Makes a round of work that is done for one message after the other, and returns how many had any. A message that fails
 * does not hold up the others: the first error is thrown after all had their turn, or at once when the database is away.
 */
export function eachMessage<Rt, Found extends { messageId: number }>(work: EachMessage<Rt, Found>): Round<Rt, number> {
  return async (rt, failed = new Set()) => {
    const found = await work.find(rt, [...failed])
    if (found.length === 0) failed.clear()
    let worked = 0
    const errors: unknown[] = []
    for (const message of found) {
      try {
        if ((await work.apply(rt, message)) !== false) worked++
      } catch (error) {
        if (isDatabaseUnavailable(error)) throw error
        failed.add(message.messageId)
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
    return worked
  }
}

/**
 * Makes a round of work that is done for many messages in one transaction, and for each of them alone when that fails;
 * returns whether there were any. `work` claims messages by the choice and reports their ids to `claimed`.
 */
export function manyMessages<Rt>(
  work: (rt: Rt, choice: Choice, claimed: (messageIds: number[]) => void) => Promise<boolean>,
): Round<Rt, boolean> {
  return (rt, failed = new Set()) => allOrEach(failed, (choice, claimed) => work(rt, choice, claimed))
}
