import { isDatabaseAway } from './pg-errors.ts'

/** Which of the things that are to be done: all but some, or one by itself. */
export type Choice = { except: number[]; only: number | null }

/**
 * Does a round of work on many things (by their ids) in one transaction, and when that fails on each of them by itself, so
 * that one that always fails holds up no others. `work` claims by the choice, tells `claimed` what, and answers whether
 * there was anything. What failed is kept in `failed` and passed over until there is nothing else to do; the fault of the
 * round is thrown when all have had their turn.
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
    if (isDatabaseAway(error)) throw error
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
    if (isDatabaseAway(error)) throw error
    return false
  }
}
