import { isKeyValid } from '../accounts/api-keys.queries.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type FeedQuery, findFeed, readFeed, updateFeed } from './events.queries.ts'
import type { FeedWaiters } from './feed-waiters.ts'

export type FeedPage = {
  events: { position: number; payload: string }[]
  /** Where the next read continues: after the last event of the page, or after all compared events if the page is not full. */
  nextAfter: number
}

/** A read of the feed that waits up to `waitMs` for an event; `signal` aborts the wait. */
export type FeedRequest = Omit<FeedQuery, 'after'> & {
  apiKeyId: number
  after: number | null
  waitMs: number
  signal: AbortSignal
}

/**
 * Returns the account's events after a position, or from the oldest one. Without such events it waits, and returns an empty
 * page at the end. Throws a 410 if events after the position are deleted, or if a restored backup does not have the events before it, a 422 if there is no such position yet or if the feed is off and
 * has no further event, a 429 if too many requests of the account wait for events or for their turn, and a 401 if the key has become invalid while it waited.
 */
export async function getFeedPage(db: Db, waiters: FeedWaiters, request: FeedRequest): Promise<FeedPage> {
  const { accountId, apiKeyId, types, limit, waitMs, signal } = request
  const endAt = performance.now() + waitMs
  let hasWaited = false
  for (let after = request.after; ; ) {
    const position = after
    const page = await waiters.inTurn(accountId, signal, () =>
      readPage(db, { accountId, types, limit, after: position }),
    )
    const restMs = endAt - performance.now()
    if (page.events.length > 0 && hasWaited && !(await isKeyValid(db, apiKeyId))) throw errors.unauthorized()
    if (page.events.length > 0 || restMs <= 0) return page
    hasWaited = true
    const { through, hasMore } = await waiters.wait({ accountId, types, after: page.nextAfter }, restMs, signal)
    if (!hasMore) return { events: [], nextAfter: through }
    after = through
  }
}

async function readPage(db: Db, { after, ...query }: Omit<FeedQuery, 'after'> & { after: number | null }) {
  const read = await readFeed(db, { ...query, after: after ?? 0 })
  const { enabled, last, deleted, lastBeforeGap, through, isCut, positions, payloads } = read
  if (after !== null && after < deleted) throw errors.eventsDeleted(deleted + 1)
  if (lastBeforeGap !== null) throw errors.eventsLost(lastBeforeGap)
  if (after !== null && after > last) throw errors.invalid({ after: [`is greater than the last position, ${last}`] })
  if (!enabled && positions.length === 0 && through === null) throw errors.feedOff()
  const events = positions.map((position, i) => ({ position, payload: payloads[i] ?? '' }))
  const isFull = isCut || events.length === query.limit
  return { events, nextAfter: isFull ? (events.at(-1)?.position ?? last) : (through ?? last) }
}

/** Whether the feed is on, the position after the last deleted event, and the last position. */
export type Feed = { enabled: boolean; oldestPosition: number; lastPosition: number }

/** Returns the state of the account's feed. */
export async function getFeed(db: Db, accountId: number): Promise<Feed> {
  const { enabled, last, deleted } = await findFeed(db, accountId)
  return { enabled, oldestPosition: deleted + 1, lastPosition: last }
}

/** Switches the account's feed on or off; events of changes from then on are in it, or are not. */
export async function changeFeed(db: Db, accountId: number, enabled: boolean): Promise<Feed> {
  await updateFeed(db, accountId, enabled)
  return getFeed(db, accountId)
}
