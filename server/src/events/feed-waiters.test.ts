import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { insertTestEvent } from './events.queries.ts'
import { FeedWaiters, maxWaitingPerAccount } from './feed-waiters.ts'

let database: TestDatabase
let waiters: FeedWaiters
let accounts: { id: number }[]
const never = new AbortController().signal
const long = 60_000

beforeAll(async () => {
  database = await freshDatabase()
  accounts = [await make.account(database.db), await make.account(database.db)]
})
afterAll(() => database.close())
beforeEach(async () => {
  await database.db.exec('forget', 'delete from events')
  waiters = new FeedWaiters(database.db)
})
afterEach(() => waiters.stop())

/** Inserts events of a type with the next positions, and returns the last position. */
async function happen(account: number, type: string, { count = 1 } = {}): Promise<number> {
  const { last } = await database.db.one<{ last: number }>(
    'happen',
    `with s as (update event_sequence set last_position = last_position + $3 returning last_position as last),
          e as (insert into events (position, account_id, type, occurred_at, payload)
                select last + 1 - n, $1, $2, now(), '{}' from s, generate_series(1, $3::int) n)
     select last from s`,
    [accounts[account]?.id, type, count],
  )
  return last
}

/** A wait after the last position; `ended` has its result once it has ended. */
async function wait(account: number, types: string[] | null = null) {
  const { last } = await database.db.one<{ last: number }>('last', 'select last_position as last from event_sequence')
  const waiting: { ended?: object; after: number; done: Promise<unknown> } = { after: last, done: Promise.resolve() }
  const awaited = { accountId: accounts[account]?.id ?? 0, types, after: last }
  waiting.done = waiters.wait(awaited, long, never).then((ended) => {
    waiting.ended = ended
  })
  return waiting
}

describe('a wait is ended by', () => {
  test('an event of its account and types, and not by others', async () => {
    const [any, typed, other] = [await wait(0), await wait(0, ['cleaned', 'unsubscribe']), await wait(1)]
    const first = await happen(1, 'subscribe')
    await other.done
    expect([other.ended, any.ended, typed.ended]).toEqual([{ through: first - 1, hasMore: true }, undefined, undefined])
    await happen(0, 'subscribe')
    await any.done
    expect([any.ended, typed.ended]).toEqual([{ through: first, hasMore: true }, undefined])
    const last = await happen(0, 'unsubscribe')
    await typed.done
    expect(typed.ended).toEqual({ through: last - 1, hasMore: true })
  })

  test('more events than are compared', async () => {
    const typed = await wait(0, ['cleaned'])
    await happen(0, 'subscribe', { count: 1_000 })
    await typed.done
    expect(typed.ended).toEqual({ through: typed.after, hasMore: true })
  })
})

test('a test event ends no wait', async () => {
  const [quiet, other] = [await wait(0), await wait(1)]
  const event = { accountId: accounts[0]?.id ?? 0, listId: null, type: 'subscribe' as const, occurredAt: new Date() }
  await insertTestEvent(database.db, { ...event, payload: '{}', callbackUrl: null })
  await happen(1, 'subscribe')
  await other.done
  expect(quiet.ended).toBeUndefined()
})

test('the end of the time has the position through which there is no event', async () => {
  const other = await wait(1)
  const over = new AbortController()
  const quiet = waiters.wait({ accountId: accounts[0]?.id ?? 0, types: null, after: other.after }, long, over.signal)
  const last = await happen(1, 'subscribe')
  await other.done
  over.abort()
  expect(await quiet).toEqual({ through: last, hasMore: false })
})

test('too many requests of an account do not wait, and those of another do', async () => {
  for (let n = 0; n < maxWaitingPerAccount; n++) await wait(0)
  await expect(wait(0)).rejects.toMatchObject({ status: 429, code: 'too_many_waiting_requests', retryAfterS: 5 })
  await wait(1)
})
