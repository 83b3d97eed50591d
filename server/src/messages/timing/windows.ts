import type { Db } from '../../db/db.ts'
import { loadQuietHours } from '../../quiet-hours/quiet-hours.ts'
import { hasTimeRules, type WindowRules } from '../../quiet-hours/windows.ts'
import { type MessageTiming, readTimings } from './windows.queries.ts'

/**
 * When the texts of a message may go out, as its account, its list and itself have it by now; undefined when at any time.
 * A broadcast keeps to quiet hours when one of the three says so, a text to given numbers when the account says so of
 * those; a text of the house, which answers somebody, never waits.
 */
export async function windowRulesOf(db: Db, messageId: number): Promise<WindowRules | undefined> {
  const timing = (await readTimings(db, [messageId])).get(messageId)
  return timing && rulesOf(db, timing)
}

/** The same, of a timing that has been read. */
export async function rulesOf(db: Db, timing: MessageTiming): Promise<WindowRules | undefined> {
  if (timing.kind === 'system') return undefined
  const isBroadcast = timing.kind === 'broadcast'
  const obeys = isBroadcast
    ? timing.accountQuietHours || timing.listQuietHours || timing.quietHours
    : timing.accountTransactionalQuietHours
  const rules: WindowRules = {
    quietHours: obeys ? await loadQuietHours(db, timing.accountId) : null,
    alsoWithin: (isBroadcast ? [timing.listSendHours, timing.sendHours] : []).filter((hours) => hours !== null),
    localAt: timing.localAt,
  }
  return hasTimeRules(rules) ? rules : undefined
}
