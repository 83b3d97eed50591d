import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase, useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { BounceReason } from '../connections/status-map.ts'
import type { Db } from '../db/db.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markRejected, markSent, markSubmitting } from '../log/marks.queries.ts'
import { applyReceipts } from '../log/receipts.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { claimSoftBouncers } from './soft-bounces.queries.ts'
import { cleanSoftBounced } from './soft-bounces.ts'

const ctx = useDatabase()
let db: Db
const rt = () => makeRuntime({ db })
const phone = 2_065_560_001
type List = Awaited<ReturnType<typeof make.list>>
let list: List
let connectionId: number

async function prepare(given: Db) {
  db = given
  connectionId = (await make.connection(db, { name: 'default' })).id
  list = await make.list(db)
  await make.subscriber(db, { listId: list.id, phone })
}
beforeEach(() => prepare(ctx.db))

type Outcome = 'delivered' | 'expired' | BounceReason

/** Sends a broadcast to the list, with this outcome for every text. */
async function send(outcome: Outcome, to: List = list): Promise<number> {
  const { id } = await acceptBroadcast(rt(), { accountId: to.accountId, list: to, content: 'Hello' })
  while (await expandOnce(rt()));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const rows = await listQueued(db, chunk)
  await markSubmitting(db, chunk, rows, new Date())
  if (outcome !== 'delivered' && outcome !== 'expired') {
    const rejected = rows.map((row) => ({ logId: row.id, reason: outcome, carrierStatus: 'ESME_RSUBMITFAIL' }))
    await markRejected(db, chunk.loggedOn, rejected, new Date())
  } else {
    const named = rows.map((row) => ({ row, smscId: `id${row.id}` }))
    const accepted = named.map(({ row, smscId }) => ({
      logId: row.id,
      phone: row.phone,
      part: 0,
      smscId,
      complete: true,
    }))
    await markSent(db, chunk.loggedOn, connectionId, accepted)
    const reason = outcome === 'expired' ? ('soft' as const) : null
    const status = { state: outcome, reason, carrierStatus: outcome, shortCode: chunk.shortCode }
    const receipts = named.map(({ row, smscId }) => ({ ...status, smscId, phone: row.phone }))
    await applyReceipts(db, chunk.loggedOn, connectionId, receipts, new Date())
  }
  await checkCounters(db, id)
  return id
}

async function sendAll(...outcomes: Outcome[]): Promise<number> {
  let last = 0
  for (const outcome of outcomes) last = await send(outcome)
  return last
}

const times = (n: number, outcome: Outcome): Outcome[] => Array.from({ length: n }, () => outcome)

const stateOf = async (listId = list.id) =>
  (
    await db.one<{ state: string }>('state_of', 'select state from subscribers where list_id = $1 and phone = $2', [
      listId,
      phone,
    ])
  ).state

const countOf = async () =>
  (
    await db.maybeOne<{ n: number }>('count_of', 'select consecutive_count as n from soft_bounces where list_id = $1', [
      list.id,
    ])
  )?.n

test('seven consecutive soft bounces clean a number, with the ledger, the counts and the counter of the last message', async () => {
  const last = await sendAll(...times(3, 'soft'), ...times(2, 'expired'), ...times(2, 'soft'))
  expect(await stateOf()).toBe('subscribed')
  expect(await cleanSoftBounced(rt())).toBe(1)
  expect(await stateOf()).toBe('cleaned')
  expect(await readCounters(db, last)).toMatchObject({ bounced: 1, cleanCount: 1 })
  expect(await db.many('opts', `select kind, method from opts where phone = $1`, [phone])).toEqual([
    { kind: 'cleaned', method: 'carrier' },
  ])
  const deltas = 'select sum(subscribed)::int as subscribed, sum(cleaned)::int as cleaned from list_deltas'
  expect(await db.one('deltas', deltas)).toEqual({ subscribed: 0, cleaned: 1 })
  expect(await cleanSoftBounced(rt())).toBe(0)
})

test.each<[string, Outcome[]]>([
  ['six', times(6, 'soft')],
  ['seven, with a delivery in between,', [...times(4, 'soft'), 'delivered', ...times(3, 'soft')]],
  ['seven, with a delivery after them,', [...times(7, 'soft'), 'delivered']],
  ['six, and two blocked texts,', [...times(6, 'soft'), 'blocked', 'blocked']],
])('%s soft bounces do not clean a number', async (_, outcomes) => {
  await sendAll(...outcomes)
  await cleanSoftBounced(rt())
  expect(await stateOf()).toBe('subscribed')
})

test('a blocked text does not reset the count', async () => {
  await sendAll(...times(6, 'soft'), 'blocked', 'soft')
  await cleanSoftBounced(rt())
  expect(await stateOf()).toBe('cleaned')
})

test('the log of days before the first soft bounce is not read', async () => {
  await sendAll(...times(7, 'soft'))
  const { firstLoggedOn } = await db.one<{ firstLoggedOn: string }>(
    'first',
    'select first_logged_on as "firstLoggedOn" from soft_bounces',
  )
  await db.exec('move', `update soft_bounces set first_logged_on = first_logged_on + 1`)
  expect(await claimSoftBouncers(db, 9, '2099-01-01')).toMatchObject([{ logged: 0, firstLoggedOn: null }])
  await db.exec('move_back', `update soft_bounces set first_logged_on = first_logged_on - 1`)
  expect(await claimSoftBouncers(db, 9, firstLoggedOn)).toMatchObject([{ logged: 7, firstLoggedOn }])
})

test('a delivery after all of them forgets the number', async () => {
  await sendAll(...times(7, 'soft'), 'delivered')
  await cleanSoftBounced(rt())
  expect(await countOf()).toBeUndefined()
})

test('a delivery resets the count', async () => {
  await sendAll(...times(5, 'soft'), 'delivered', ...times(2, 'soft'))
  expect(await countOf()).toBe(7)
  expect(await cleanSoftBounced(rt())).toBe(1)
  expect(await countOf()).toBe(2)
  await sendAll(...times(4, 'soft'))
  await cleanSoftBounced(rt())
  expect(await stateOf()).toBe('subscribed')
  await send('soft')
  await cleanSoftBounced(rt())
  expect(await stateOf()).toBe('cleaned')
})

describe('another list of the account', () => {
  let other: List
  beforeEach(async () => {
    other = await make.list(db, { accountId: list.accountId, shortCodeId: list.shortCodeId })
    await make.subscriber(db, { listId: other.id, phone })
  })

  test('with a delivery shows that the number is alive', async () => {
    await sendAll(...times(7, 'soft'))
    await send('delivered', other)
    await cleanSoftBounced(rt())
    expect(await stateOf()).toBe('subscribed')
  })

  test('does not add to the count of the first', async () => {
    await sendAll(...times(5, 'soft'), 'delivered', ...times(2, 'soft'))
    for (let n = 0; n < 5; n++) await send('soft', other)
    await cleanSoftBounced(rt())
    expect(await stateOf()).toBe('subscribed')
  })

  test('stays subscribed when the number is cleaned from the first', async () => {
    await sendAll(...times(4, 'soft'))
    for (let n = 0; n < 3; n++) await send('soft', other)
    await sendAll(...times(3, 'soft'))
    await cleanSoftBounced(rt())
    expect([await stateOf(), await stateOf(other.id)]).toEqual(['cleaned', 'subscribed'])
  })
})

describe('in its own database', () => {
  let database: TestDatabase
  beforeEach(async () => {
    database = await freshDatabase()
    await prepare(database.db)
  })
  afterEach(() => database.close())

  test('concurrent runs clean once, and a run that fails cleans nothing', async () => {
    const last = await sendAll(...times(7, 'soft'))
    const dying = {
      ...db,
      tx: <T>(work: (tx: Db) => Promise<T>) =>
        db.tx(async (tx) => {
          await work(tx)
          throw new Error('killed')
        }),
    }
    await expect(cleanSoftBounced({ ...rt(), db: dying })).rejects.toThrow('killed')
    expect(await stateOf()).toBe('subscribed')
    await Promise.all([cleanSoftBounced(rt()), cleanSoftBounced(rt())])
    expect(await stateOf()).toBe('cleaned')
    expect(await readCounters(db, last)).toMatchObject({ cleanCount: 1 })
    expect(await db.many('opts', `select from opts where kind = 'cleaned'`)).toHaveLength(1)
  })
})
