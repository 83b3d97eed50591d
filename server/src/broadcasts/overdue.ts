import type { Db } from '../db/db.ts'
import type { Runtime } from '../runtime.ts'
import {
  type EndedGroup,
  findEndedGroup,
  listEndedGroups,
  listOverdue,
  type OverdueMessage,
} from './overdue.queries.ts'

/** Messages that are closed in a round, and groups of which they are. */
const messagesAtOnce = 100
/** Groups of which the oldest message is looked at in one statement. */
const groupsAtOnce = 1_000

type Group = Pick<EndedGroup, 'accountId' | 'shortCodeId'>
const beforeAll: Group = { accountId: 0, shortCodeId: 0 }

/** The group behind which the next round begins. In memory: after a restart, the first group comes first again. */
const lastGroup = new WeakMap<Db, Group>()

/**
 * Returns up to 100 sent or cancelled messages at their receipt deadline, or only this one. Accounts take turns, the
 * oldest messages of each first. Returns none if no message is overdue.
 */
export async function findOverdue(
  { db, clock, config }: Pick<Runtime, 'db' | 'clock' | 'config'>,
  only: number | null,
): Promise<OverdueMessage[]> {
  const [now, deadlineMs] = [clock.now(), config.send.receiptDeadlineMs]
  if (only !== null) {
    const group = await findEndedGroup(db, now, deadlineMs, only)
    return group ? listOverdue(db, now, [group], 1, only) : []
  }
  for (let rounds = lastGroup.has(db) ? 2 : 1; rounds > 0; ) {
    const groups = await listEndedGroups(db, now, deadlineMs, lastGroup.get(db) ?? beforeAll, groupsAtOnce)
    const due = groups.filter(({ isDue }) => isDue)
    const served = due.slice(0, messagesAtOnce)
    if (served.length < due.length) lastGroup.set(db, served.at(-1) ?? beforeAll)
    else if (groups.length === groupsAtOnce) lastGroup.set(db, groups.at(-1) ?? beforeAll)
    else {
      lastGroup.delete(db)
      rounds--
    }
    if (served.length === 0) continue
    const share = Math.floor(messagesAtOnce / served.length)
    const messages = await listOverdue(db, now, served, share, null)
    if (messages.length > 0) return messages
  }
  return []
}
