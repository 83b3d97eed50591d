import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import type { Sql } from '../db/sql.ts'
import { startJobs } from '../jobs/boss.ts'
import { takeTurn } from '../jobs/turns.ts'
import type { Runtime } from '../runtime.ts'
import type { Change } from './changes.queries.ts'
import { applySlice, queueChange } from './changes.ts'
import { applyChanges, changesQueue } from './subscribers.jobs.ts'

// Accounts take turns in the queue of changes, however many changes one of them has.

let database: TestDatabase
let rt: Runtime
let hostile: Awaited<ReturnType<typeof makeOwner>>
let other: Awaited<ReturnType<typeof makeOwner>>
const firstPhone = 2_065_560_001
const people = 20

async function makeOwner() {
  const { id, accountId } = await make.list(database.db)
  await make.subscribers(database.db, { listId: id, count: people })
  return { listId: id, accountId }
}

beforeEach(async () => {
  database = await freshDatabase()
  rt = makeRuntime(database)
  hostile = await makeOwner()
  other = await makeOwner()
})
afterEach(() => database.close())

const phones = Array.from({ length: people }, (_, n) => firstPhone + n)

const tag = ({ accountId, listId }: typeof other, text: string) =>
  rt.db.tx((tx) => queueChange(tx, { accountId, listId, phones, kind: 'add_tags', tags: [text] }, new Date()))

async function openChanges({ accountId }: typeof other): Promise<number> {
  return rt.db.exec('open', 'select from subscriber_changes where account_id = $1', [accountId])
}

/** Returns the queue with slices of five numbers, and the accounts of its turns. */
function observedQueue() {
  const turns: number[] = []
  const apply = async (tx: Db, _rt: Runtime, change: Change) => {
    turns.push(change.accountId)
    return applySlice(tx, change, 5, new Date())
  }
  return { queue: { ...changesQueue, apply }, turns }
}

test('a single tagging is applied in turn with 318 taggings of another account', async () => {
  for (let n = 0; n < 318; n++) await tag(hostile, `tag ${n}`)
  await tag(other, 'vip')
  const { queue, turns } = observedQueue()
  const rotation = { lastAccount: 0, stopwatch: () => 0 }
  while ((await openChanges(other)) > 0) expect(await takeTurn(rt, queue, rotation)).toBe(true)
  // a turn of each, with four slices of five numbers
  expect(turns).toHaveLength(8)
  expect(turns.filter((id) => id === other.accountId)).toHaveLength(4)
  expect(await openChanges(hostile)).toBe(317)
})

test('slices of expensive rows are shorter, so that accounts have equal time', async () => {
  const owners = [hostile, other]
  for (const { listId } of owners) await make.subscribers(database.db, { listId, count: 2_000, after: 2_065_570_000 })
  for (const { accountId, listId } of owners) {
    const change = { accountId, listId, phones: null, kind: 'remove_tags' as const, tags: ['none'] }
    await rt.db.tx((tx) => queueChange(tx, change, new Date()))
  }
  let nowMs = 0
  const turns: Array<{ accountId: number; rows: number }> = []
  const apply: typeof changesQueue.apply = async (tx, runtime, change, limit) => {
    const slice = await changesQueue.apply(tx, runtime, change, limit)
    // sums of powers of two, so that each slice takes exactly its time
    nowMs += slice.rows * (change.accountId === hostile.accountId ? 10 : 0.125)
    turns.push({ accountId: change.accountId, rows: slice.rows })
    return slice
  }
  const rotation = { lastAccount: 0, stopwatch: () => nowMs }
  while ((await openChanges(hostile)) > 0) await takeTurn(rt, { ...changesQueue, apply }, rotation)
  const rowsOf = (owner: typeof other) =>
    turns.filter(({ accountId }) => accountId === owner.accountId).map(({ rows }) => rows)
  expect(rowsOf(other)).toEqual([20, 100, 500, 1_400])
  // the first slice has 20 rows, because the cost is unknown; then as many as take a quarter of a second
  expect(rowsOf(hostile)).toEqual([20, ...Array(80).fill(25), 0])
  // the first slices of cheap rows, 77.5 ms together, are one turn
  const isHostile = turns.map(({ accountId }) => accountId === hostile.accountId)
  expect(isHostile.slice(0, 7)).toEqual([true, false, false, false, true, false, true])
})

test('two workers give an account at most one turn at a time, and waste no turn', async () => {
  for (let n = 0; n < 20; n++) await tag(hostile, `tag ${n}`)
  for (let n = 0; n < 5; n++) await tag(other, `tag ${n}`)
  const running = new Map<number, number>()
  let most = 0
  const apply = async (tx: Db, _rt: Runtime, change: Change) => {
    const now = (running.get(change.accountId) ?? 0) + 1
    running.set(change.accountId, now)
    most = Math.max(most, now)
    const slice = await applySlice(tx, change, 5, new Date())
    running.set(change.accountId, now - 1)
    return slice
  }
  const queue = { ...changesQueue, apply }
  const worker = async () => {
    // each slice ends a turn
    let nowMs = 0
    const rotation = { lastAccount: 0, stopwatch: () => (nowMs += 50) }
    let turns = 0
    while (await takeTurn(rt, queue, rotation)) turns++
    return turns
  }
  const turns = await Promise.all([worker(), worker(), worker()])
  expect(most).toBe(1)
  expect(turns.reduce((sum, n) => sum + n)).toBe(25 * 4)
  const tags = await rt.db.many('t', 'select distinct cardinality(tags) as n from subscribers where list_id = $1', [
    hostile.listId,
  ])
  expect(tags).toEqual([{ n: 20 }])
})

test('a turn that waits for a lock delays no other account', async () => {
  const jobs = await startJobs(rt, [applyChanges], [])
  try {
    await rt.db.tx(async (tx) => {
      await tx.exec('lock', 'select from subscribers where list_id = $1 for update', [hostile.listId])
      for (let n = 0; n < 6; n++) await tag(hostile, `tag ${n}`)
      await waitFor(() =>
        rt.db.exec(
          'waiting',
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        ),
      )
      await tag(other, 'vip')
      await waitFor(async () => (await openChanges(other)) === 0)
      expect(await openChanges(hostile)).toBe(6)
    })
    await jobs.drain()
    expect(await openChanges(hostile)).toBe(0)
  } finally {
    await jobs.stop()
  }
})

test('the turn of a killed worker is taken by another one at once, and no slice is applied twice', async () => {
  await tag(hostile, 'a')
  await tag(hostile, 'b')
  let kills = 0
  const killed = {
    ...changesQueue,
    apply: async (tx: Db, _rt: Runtime, change: Change) => {
      const slice = await applySlice(tx, change, 5, new Date())
      kills++
      await tx.exec('kill', 'select pg_terminate_backend(pg_backend_pid())')
      return slice
    },
    // a killed process records nothing
    postpone: () => Promise.reject(new Error('killed')),
  }
  await expect(takeTurn(rt, killed, { lastAccount: 0 })).rejects.toThrow()
  expect(kills).toBe(1)
  const { queue, turns } = observedQueue()
  while (await takeTurn(rt, queue, { lastAccount: 0 }));
  expect(turns).toHaveLength(8)
  expect(await openChanges(hostile)).toBe(0)
})

test('work that always fails takes its turns less and less often, and is given up at last', async () => {
  await tag(hostile, 'poison')
  await tag(other, 'vip')
  const queue = {
    ...changesQueue,
    apply: async (tx: Db, _rt: Runtime, change: Change) => {
      // as an overlong transaction does, the error looks like a lost database
      if (change.accountId === hostile.accountId) await tx.exec('kill', 'select pg_terminate_backend(pg_backend_pid())')
      return applySlice(tx, change, people, new Date())
    },
  }
  const rotation = { lastAccount: 0 }
  expect(await takeTurn(rt, queue, rotation)).toBe(true)
  expect(await takeTurn(rt, queue, rotation)).toBe(true)
  expect(await openChanges(other)).toBe(0)
  expect(await takeTurn(rt, queue, rotation)).toBe(false)
  expect(await openChanges(hostile)).toBe(1)
  await rt.db.exec('last', 'update subscriber_changes set failures = 20, retry_at = null')
  expect(await takeTurn(rt, queue, rotation)).toBe(true)
  expect(await openChanges(hostile)).toBe(0)
})

test('the next account is found by index among many changes', async () => {
  await rt.db.exec(
    'many',
    `insert into subscriber_changes (account_id, list_id, kind, phones, tags, created_at)
     select $1, $2, 'add_tags', '{2065560001}', '{x}', now() from generate_series(1, 20000)`,
    [hostile.accountId, hostile.listId],
  )
  await tag(other, 'vip')
  await rt.db.exec('analyze', 'analyze subscriber_changes')
  const plan = await rt.db.tx(async (tx) => {
    await tx.exec('prepare', `set local plan_cache_mode = force_generic_plan`)
    const seen: string[] = []
    const explaining: Db = {
      ...tx,
      maybeOne: async (name, statement) => {
        const { text, values } = (statement as Sql).toStatement()
        const rows = await tx.many<Record<string, string>>(`explain_${name}`, `explain ${text}`, values)
        seen.push(...rows.map((row) => String(Object.values(row)[0])))
        return undefined
      },
    }
    await changesQueue.nextAccount(explaining, hostile.accountId, new Date())
    await changesQueue.claim(explaining, hostile.accountId, new Date())
    return seen.join('\n')
  })
  expect(plan).toContain('subscriber_changes_account')
  expect(plan).not.toMatch(/Seq Scan on subscriber_changes|Sort/)
})
