import type { Db } from '../../db/db.ts'
import { loadQuietHours } from '../../quiet-hours/quiet-hours.ts'
import { hasTimeRules, type WindowRules } from '../../quiet-hours/windows.ts'
import { type MessageTiming, readTimings } from './windows.queries.ts'

/**
 * Returns the rules for when texts of a message may be sent, by the current settings of its account, its list and the
 * message; undefined if there are none. Quiet hours apply to a broadcast if one of the three sets them, and to a
 * transactional message if the account sets them for those. A system text, which replies to a person, is never delayed.
 */
export async function windowRulesOf(db: Db, messageId: number): Promise<WindowRules | undefined> {
  const timing = (await readTimings(db, [messageId])).get(messageId)
  return timing && rulesOf(db, timing)
}

/** Returns the rules as `windowRulesOf` does, for a timing that has been read. */
export async function rulesOf(db: Db, timing: MessageTiming): Promise<WindowRules | undefined> {
  if (timing.kind === 'system') return undefined
  const isBroadcast = timing.kind === 'broadcast'
  const hasQuietHours = isBroadcast
    ? timing.accountQuietHours || timing.listQuietHours || timing.quietHours
    : timing.accountTransactionalQuietHours
  const rules: WindowRules = {
    quietHours: hasQuietHours ? await loadQuietHours(db, timing.accountId) : null,
    alsoWithin: (isBroadcast ? [timing.listSendHours, timing.sendHours] : []).filter((hours) => hours !== null),
    localAt: timing.localAt,
  }
  return hasTimeRules(rules) ? rules : undefined
}
