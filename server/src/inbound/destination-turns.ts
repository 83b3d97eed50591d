import type { Db } from '../db/db.ts'
import { type DestinationPage, listWaitingDestinations, type UnhandledInbound } from './waiting.queries.ts'

/** The last destination of an unfinished round. In memory: after a restart, a round begins with the first one. */
const lastDestination = new WeakMap<Db, string>()

/**
 * Yields all destinations with unhandled MOs once, up to `limit` at a time, from the one behind the last one of a call that ended
 * early. `isLast` is true for the last ones.
 */
export async function* turnsOfDestinations(
  db: Db,
  limit: number,
): AsyncGenerator<{ codes: string[]; isLast: boolean }> {
  const start = lastDestination.get(db) ?? ''
  let hasWrapped = start === ''
  for (let after = start; ; ) {
    const found = await listWaitingDestinations(db, after, limit)
    const codes = hasWrapped && start !== '' ? found.filter((code) => code <= start) : found
    const isEnd = codes.length < limit
    after = isEnd ? '' : (codes.at(-1) ?? '')
    lastDestination.set(db, after)
    if (codes.length > 0) yield { codes, isLast: isEnd && hasWrapped }
    if (isEnd && hasWrapped) return
    hasWrapped ||= isEnd
  }
}

/** Returns the pages behind these MOs, of the destinations of which more than `share` may wait. */
export function nextPages(unhandled: UnhandledInbound[], share: number): DestinationPage[] {
  const full = [...Map.groupBy(unhandled, ({ shortCode }) => shortCode)].filter(([, mos]) => mos.length === share)
  return full.map(([code, mos]) => ({ code, after: Math.max(...mos.map(({ id }) => id)) }))
}
