import { allOrEach, type Choice } from '../db/all-or-each.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'

/**
 * One round of a sweep; returns the number of messages with work, or whether there were any. `failed` has the ids of
 * messages whose work failed in earlier rounds: they are skipped until no other message has work, and then tried again.
 */
export type Round<Rt, Result extends number | boolean> = (rt: Rt, failed?: Set<number>) => Promise<Result>

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
  /** Returns messages with work, except these ids. */
  find: (rt: Rt, except: number[]) => Promise<Found[]>
  /** Does the work of one message; returns false if there was none. */
  apply: (rt: Rt, message: Found) => Promise<unknown>
}

/**
 * Builds a round that processes one message after the other and returns the number that had work. An error of one
 * message does not affect the others: the round throws the first error at its end, or immediately if the database is
 * unreachable.
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
 * Builds a round that processes many messages in one transaction, and each of them alone if that fails; it returns
 * whether there were any. `work` claims messages by the choice and reports their ids to `claimed`.
 */
export function manyMessages<Rt>(
  work: (rt: Rt, choice: Choice, claimed: (messageIds: number[]) => void) => Promise<boolean>,
): Round<Rt, boolean> {
  return (rt, failed = new Set()) => allOrEach(failed, (choice, claimed) => work(rt, choice, claimed))
}
