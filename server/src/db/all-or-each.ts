import { isDatabaseUnavailable } from './pg-errors.ts'

/** The items of a round: all except some, or only one. */
export type Choice = { except: number[]; only: number | null }

/**
 * Runs a round of work on many items (by their ids) in one transaction and, if that fails, on each item separately, so that
 * an item that always fails does not block the others. `work` claims items by the choice, passes the claimed ids to
 * `claimed`, and returns whether there was any work. Ids of failed items are added to `failed`, and are skipped until there
 * is no other work. Throws the error of the round after it has processed every item.
 */
export async function allOrEach(
  failed: Set<number>,
  work: (choice: Choice, claimed: (ids: number[]) => void) => Promise<boolean>,
): Promise<boolean> {
  let ids: number[] = []
  try {
    const worked = await work({ except: [...failed], only: null }, (claimed) => {
      ids = claimed
    })
    if (!worked) failed.clear()
    return worked
  } catch (error) {
    if (isDatabaseUnavailable(error)) throw error
    if (ids.length === 1) failed.add(ids[0] as number)
    else for (const id of ids) if (!(await succeeds(() => work({ except: [], only: id }, () => {})))) failed.add(id)
    throw error
  }
}

async function succeeds(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (isDatabaseUnavailable(error)) throw error
    return false
  }
}
