import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listWrongCounts } from '../../test/number-ranges.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import { waitFor } from '../../test/wait-for.ts'
import { takeTurn } from '../jobs/turns.ts'
import type { Runtime } from '../runtime.ts'
import { applyImport, importsQueue } from './imports.jobs.ts'
import { applyNextSlice, receiveImport } from './imports.ts'

let database: TestDatabase
let rt: Runtime
let list: Awaited<ReturnType<typeof make.list>>

beforeEach(async () => {
  database = await freshDatabase()
  rt = makeRuntime(database)
  list = await make.list(database.db)
})
afterEach(() => database.close())

const firstPhone = 2_062_000_100
const duplicates = 10

/** Returns a file of 200 unordered rows with 190 numbers: the last ten rows repeat numbers of earlier rows. */
function makeFile(firstName = 'Ana') {
  const phones = Array.from({ length: 190 }, (_, index) => firstPhone + ((index * 77) % 190))
  const rows = [...phones, ...phones.slice(0, duplicates)].map((phone) => `${phone},${firstName}\n`)
  return `phone,first_name\n${rows.join('')}`
}

const receive = (file: string) => receiveImport(rt, csvUpload(list, file))

async function applyAll(importId: number, limit: number, on = rt) {
  while (await applyNextSlice(on, importId, limit));
}

/** Returns the import's counts, and the numbers of subscribers, ledger rows, counted subscribers and staging tables. */
function countEffects(importId: number) {
  return database.db.one(
    'count_effects',
    `select i.status, i.added, i.updated, i.unchanged, i.kept_opted_out, i.skipped, i.skip_reasons as reasons,
            (select count(*) from subscribers where list_id = i.list_id) as subscribers,
            (select count(*) from opts where list_id = i.list_id) as opts,
            (select coalesce(sum(subscribed), 0)::int from list_deltas where list_id = i.list_id) as deltas,
            (select count(*) from pg_class where relname like 'import\\_rows\\_%' and relkind = 'r') as tables
       from imports i where i.id = $1`,
    [importId],
  )
}

const allAdded = {
  status: 'done',
  added: 190,
  updated: 0,
  unchanged: 0,
  kept_opted_out: 0,
  skipped: duplicates,
  reasons: { duplicate: duplicates },
  subscribers: 190,
  opts: 190,
  deltas: 190,
  tables: 0,
}

test.each([1, 7, 100, 200, 201])('slices of %i rows count every row once', async (limit) => {
  const { id } = await receive(makeFile())
  await applyAll(id, limit)
  expect(await countEffects(id)).toEqual(allAdded)
})

test('a crash in a slice loses no row and counts no row twice', async () => {
  const { id } = await receive(makeFile())
  let slices = 0
  const failing: Runtime = {
    ...rt,
    db: {
      ...rt.db,
      tx: (work) =>
        rt.db.tx(async (tx) => {
          const result = await work(tx)
          // every other slice fails just before its commit
          if (++slices % 2 === 0) throw new Error('killed')
          return result
        }),
    },
  }
  for (let more = true; more; ) {
    more = await applyNextSlice(failing, id, 30).catch((error: Error) => {
      expect(error.message).toBe('killed')
      return true
    })
  }
  expect(slices).toBe(13)
  expect(await countEffects(id)).toEqual(allAdded)
})

test('a job continues an import after another job was stopped', async () => {
  const { id } = await receive(makeFile())
  await expect(applyImport.run(rt, {}, AbortSignal.abort())).rejects.toThrow()
  await applyNextSlice(rt, id, 50)
  await applyImport.run(rt, {}, new AbortController().signal)
  expect(await countEffects(id)).toEqual(allAdded)
})

test('an import whose rows take long is applied in slices of fewer rows', async () => {
  const phones = Array.from({ length: 400 }, (_, n) => firstPhone + n)
  const { id } = await receive(`phone,first_name\n${phones.map((phone) => `${phone},Ana\n`).join('')}`)
  let nowMs = 0
  const slices: number[] = []
  const apply: typeof importsQueue.apply = async (tx, runtime, work, limit) => {
    const slice = await importsQueue.apply(tx, runtime, work, limit)
    nowMs += slice.rows * 5
    slices.push(slice.rows)
    return slice
  }
  const rotation = { lastAccount: 0, stopwatch: () => nowMs }
  while (await takeTurn(rt, { ...importsQueue, apply }, rotation));
  expect(slices).toEqual([20, ...Array(7).fill(50), 30])
  expect(await countEffects(id)).toMatchObject({ status: 'done', added: 400 })
})

test('an import whose slice fails is repeated with fewer rows', async () => {
  await receive(makeFile())
  const limits: number[] = []
  const apply: typeof importsQueue.apply = async (_tx, _rt, _work, limit) => {
    limits.push(limit)
    throw new Error('too much')
  }
  const rotation = { lastAccount: 0 }
  for (let n = 0; n < 3; n++) {
    await database.db.exec('due', 'update imports set retry_at = null')
    await takeTurn(rt, { ...importsQueue, apply }, rotation)
  }
  expect(limits).toEqual([20, 4, 1])
})

test('concurrent workers apply an import once', async () => {
  const { id } = await receive(makeFile())
  await Promise.all([applyAll(id, 9), applyAll(id, 9), applyAll(id, 9)])
  expect(await countEffects(id)).toEqual(allAdded)
})

test('two concurrent imports of the same numbers add each number once', async () => {
  const first = await receive(makeFile())
  const second = await receive(makeFile())
  await Promise.all([applyAll(first.id, 20), applyAll(second.id, 20)])
  const effects = (await countEffects(first.id)) as Record<string, number>
  expect(effects).toMatchObject({ subscribers: 190, opts: 190, deltas: 190, tables: 0 })
  const other = (await countEffects(second.id)) as Record<string, number>
  expect((effects.added ?? 0) + (other.added ?? 0)).toBe(190)
  expect((effects.unchanged ?? 0) + (other.unchanged ?? 0)).toBe(190)
})

test('an opt-out that is concurrent with a slice takes precedence', async () => {
  await receive(makeFile()).then(({ id }) => applyAll(id, 1_000))
  const { id } = await receive(makeFile('Zoe'))
  const optedOut = firstPhone + 5
  let slice: Promise<unknown> | undefined
  await database.db.tx(async (tx) => {
    await tx.exec(
      'opt_out',
      `update subscribers set state = 'unsubscribed', opted_out_at = now() where list_id = $1 and phone = $2`,
      [list.id, optedOut],
    )
    slice = applyAll(id, 1_000)
    await waitFor(async () => {
      const { count } = await database.db.one<{ count: number }>(
        'count_waiting',
        `select count(*) as count from pg_locks l join pg_database d on d.oid = l.database or l.database is null
          where not l.granted and d.datname = current_database()`,
      )
      return count > 0
    })
  })
  await slice
  const row = await database.db.one('subscriber', 'select state, first_name from subscribers where phone = $1', [
    optedOut,
  ])
  expect(row).toEqual({ state: 'unsubscribed', first_name: 'Ana' })
  expect(await countEffects(id)).toMatchObject({
    status: 'done',
    updated: 189,
    kept_opted_out: 1,
    skipped: duplicates,
    reasons: { duplicate: duplicates },
    opts: 190,
  })
})

test('a number that subscribes concurrently with a slice is counted once', async () => {
  const { id } = await receive(makeFile())
  let slice: Promise<unknown> | undefined
  await database.db.tx(async (tx) => {
    await make.subscriber(tx, { listId: list.id, phone: firstPhone, state: 'pending' })
    slice = applyAll(id, 1_000)
    await waitFor(async () => {
      const { count } = await database.db.one<{ count: number }>(
        'count_waiting_inserts',
        `select count(*) as count from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return count > 0
    })
  })
  await slice
  expect(await countEffects(id)).toMatchObject({
    status: 'done',
    added: 189,
    updated: 1,
    subscribers: 190,
    deltas: 190,
  })
})

test('an import that cannot be applied fails, and its rows are deleted', async () => {
  const { id } = await receive(makeFile())
  await database.db.exec('break', `alter table import_rows_${id} rename to elsewhere`)
  await database.db.exec('last', 'update imports set failures = 20 where id = $1', [id])
  await takeTurn(rt, importsQueue, { lastAccount: 0 })
  await database.db.exec('leftover', 'drop table elsewhere')
  expect(await countEffects(id)).toMatchObject({ status: 'failed', added: 0, tables: 0 })
  expect(await applyNextSlice(rt, id)).toBe(false)
})

test.each([
  ['stops sending', 0],
  ['sends a byte now and then', 5],
])('a client that %s gets a 408, and nothing is stored', async (_what, pauseMs) => {
  const body = new Readable({ read() {} })
  body.push('phone,first_name\n2062000101,Ana\n')
  const dripping = pauseMs > 0 ? setInterval(() => body.push('2'), pauseMs) : undefined
  const pace = { graceMs: 100, bytesPerSecond: 2_000, maxMs: 60_000 }
  const stalled = { status: 408, code: 'upload_stalled' }
  await expect(receiveImport(rt, csvUpload(list, body), { pace })).rejects.toMatchObject(stalled)
  clearInterval(dripping)
  const { count } = await database.db.one<{ count: number }>('count', 'select count(*) as count from imports')
  expect(count).toBe(0)
})

const statedFile = [
  'phone,status',
  ...Array.from({ length: 30 }, (_, n) => `${firstPhone + n},${['active', 'out', 'cleaned'][n % 3]}`),
  // the same numbers, each with another state
  ...Array.from({ length: 30 }, (_, n) => `${firstPhone + n},${['out', 'active', 'active'][n % 3]}`),
].join('\n')

test.each([1, 2, 3, 7, 100])('slices of %i rows count stated opt-outs once and apply all of them', async (limit) => {
  await make.subscriber(database.db, { listId: list.id, phone: firstPhone })
  const { id } = await receive(statedFile)
  await applyAll(id, limit)
  const states = await database.db.many(
    'stated_states',
    'select phone % 3 as n, state, count(*) from subscribers where list_id = $1 group by 1, 2 order by 1, 2',
    [list.id],
  )
  // an opt-out in either row counts, and a number that is cleaned is not added again by its later row
  const expected = [
    { n: 0, state: 'unsubscribed', count: 10 },
    { n: 1, state: 'cleaned', count: 10 },
    { n: 2, state: 'unsubscribed', count: 10 },
  ]
  expect(states).toEqual(expected)
  const { sum, total } = await database.db.one<{ sum: number; total: number }>(
    'stated_sum',
    'select added + updated + unchanged + kept_opted_out + skipped as sum, total_rows as total from imports where id = $1',
    [id],
  )
  expect([sum, total]).toEqual([60, 60])
  expect(await listWrongCounts(database.db)).toEqual([])
})

test('an opt-out of a file does not end a later opt-in of the person', async () => {
  for (const phone of [firstPhone, firstPhone + 1]) await make.subscriber(database.db, { listId: list.id, phone })
  await database.db.exec(
    'opt_in_by_keyword',
    `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     values ($1, $2, $3, 'opt_in', 'keyword', 'mo:1', '2025-03-01')`,
    [list.accountId, list.id, firstPhone],
  )
  const out = (date: string) => `phone,unsubscribed_at\n${firstPhone},${date}\n${firstPhone + 1},${date}\n`
  const states = () =>
    database.db.many<{ state: string }>('states', 'select state from subscribers where list_id = $1 order by phone', [
      list.id,
    ])
  await applyAll((await receive(out('2025-02-01'))).id, 100)
  expect(await states()).toEqual([{ state: 'subscribed' }, { state: 'unsubscribed' }])
  await applyAll((await receive(out('2025-04-01'))).id, 100)
  expect(await states()).toEqual([{ state: 'unsubscribed' }, { state: 'unsubscribed' }])
})
