import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import type { List } from '../lists/lists.queries.ts'
import { getList } from '../lists/lists.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { optInAgain } from './opt-in-again.ts'
import { optOutOfShortCode } from './opt-out.ts'
import { addSubscriber } from './subscribe.ts'

// START at the same time as a STOP, an add or the mark of a broadcast, in each order.

const phone = 2_065_550_143
const at = new Date('2026-03-02T10:00:00Z')

let database: TestDatabase
let list: List
const rt = (db = database.db, now = at) => makeRuntime({ db, url: database.url, clock: { now: () => now } })

beforeEach(async () => {
  database = await freshDatabase()
  const { id, accountId } = await make.list(database.db)
  list = await getList(database.db, accountId, id)
  await add(database.db)
  await stop(1)
})
afterEach(() => database.close())

const add = (db: Db, now = at) =>
  addSubscriber(rt(db, now), { list, phone, profile: {}, bypassProcess: true, bypassResponse: true, actor: 'key:1' })
const stopIn = (tx: Db, moId: number) => {
  const senders = [{ phone, wording: 'STOP', actor: `mo:${moId}`, moId }]
  return optOutOfShortCode(tx, { ...list, listIds: [list.id] }, { senders, method: 'stop', at })
}
const stop = (moId: number) => database.db.tx((tx) => stopIn(tx, moId))
const startIn = (tx: Db, moId: number) =>
  optInAgain(tx, list, { phone, moId, wording: 'START', keywordListId: null, at })
const start = (moId: number) => database.db.tx((tx) => startIn(tx, moId))

const hasLockWaiter = async () => {
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return (await database.db.many('waiting', waiting)).length > 0
}
/** Runs the first in a transaction that commits only after the second has begun to wait for it. */
function firstOf<A, B>(first: (tx: Db) => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  return database.db
    .tx(async (tx) => {
      const result = await first(tx)
      const waiting = second()
      await waitFor(hasLockWaiter, { what: 'the second to wait' })
      return [result, waiting] as const
    })
    .then(async ([result, waiting]) => [result, await waiting])
}

const end = async () => {
  const { state } = await database.db.one<{ state: string }>('state', 'select state from subscribers')
  const blocked = (await database.db.many('blocks', 'select from blocks')).length > 0
  const rows = await database.db.many<{ kind: string }>('ledger', 'select kind from opts order by id offset 2')
  return { state, blocked, ledger: rows.map(({ kind }) => kind) }
}
const liftedThenOut = { state: 'unsubscribed', blocked: true, ledger: ['opt_in', 'block_lifted', 'opt_out'] }
const lifted = { state: 'subscribed', blocked: false, ledger: ['opt_in', 'block_lifted'] }

describe('a STOP', () => {
  test('that waits for a START blocks the number again', async () => {
    const [lists] = await firstOf(
      (tx) => startIn(tx, 2),
      () => stop(3),
    )
    expect(lists).toEqual([{ listId: list.id, welcome: '' }])
    expect(await end()).toEqual(liftedThenOut)
  })

  test('that is newer than the START that waits for it keeps the block', async () => {
    const [, lists] = await firstOf(
      (tx) => stopIn(tx, 3),
      () => start(2),
    )
    expect(lists).toBeUndefined()
    expect(await end()).toEqual({ state: 'unsubscribed', blocked: true, ledger: ['opt_out'] })
  })

  test('that is older than the START that waits for it is undone', async () => {
    const [, lists] = await firstOf(
      (tx) => stopIn(tx, 2),
      () => start(3),
    )
    expect(lists).toHaveLength(1)
    expect(await end()).toEqual({ ...lifted, ledger: ['opt_out', ...lifted.ledger] })
  })

  test('that is older than the START, and waits for it, is applied: it takes precedence', async () => {
    await firstOf(
      (tx) => startIn(tx, 3),
      () => stop(2),
    )
    expect(await end()).toEqual(liftedThenOut)
  })
})

test('two STARTs at the same time lift the block once', async () => {
  const [, lists] = await firstOf(
    (tx) => startIn(tx, 2),
    () => start(3),
  )
  expect(lists).toBeUndefined()
  expect(await end()).toEqual(lifted)
})

describe('an add with both flags, after the wait,', () => {
  const later = new Date(at.getTime() + 48 * 3_600_000)

  test('that waits for a START finds a subscriber', async () => {
    const [, added] = await firstOf(
      (tx) => startIn(tx, 2),
      () => add(database.db, later),
    )
    expect(added.outcome).toBe('already_subscribed')
    expect(await end()).toEqual(lifted)
  })

  test('that a START waits for lifts the block once', async () => {
    const [added, lists] = await firstOf(
      (tx) => add(tx, later),
      () => start(2),
    )
    expect(added.outcome).toBe('added')
    expect(lists).toBeUndefined()
    expect(await end()).toEqual(lifted)
  })
})

describe('the mark of a broadcast', () => {
  /** The number is subscribed and blocked: its list came from another short code with a queued broadcast. */
  beforeEach(async () => {
    await database.db.exec('subscribe', `update subscribers set state = 'subscribed'`)
    await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Soup on Friday' })
    while (await expandOnce(rt()));
  })

  async function mark(db = database.db): Promise<number> {
    const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: at, fromLane: 0, toLane: 9, limit: 9 }
    const [chunk] = await claimChunks(db, claim)
    if (!chunk) throw new Error('no chunk to lease')
    return (await markSubmitting(db, chunk, await listQueued(db, chunk), at)).length
  }
  const texts = () => database.db.many('texts', 'select state, reason from message_log')

  test('before the START commits suppresses the text', async () => {
    await database.db.tx(async (tx) => {
      await startIn(tx, 2)
      expect(await mark()).toBe(0)
    })
    expect(await texts()).toEqual([{ state: 'suppressed', reason: 'stopped' }])
  })

  test('that commits after the START, but has read the block, suppresses the text', async () => {
    await database.db.tx(async (tx) => {
      expect(await mark(tx)).toBe(0)
      expect(await start(2)).toEqual([])
    })
    expect(await texts()).toEqual([{ state: 'suppressed', reason: 'stopped' }])
    expect((await end()).blocked).toBe(false)
  })

  test('after the START sends the text', async () => {
    await start(2)
    expect(await mark()).toBe(1)
  })

  test('after a START and a STOP suppresses it', async () => {
    await start(2)
    await stop(3)
    expect(await texts()).toEqual([{ state: 'suppressed', reason: 'opted_out' }])
  })
})
