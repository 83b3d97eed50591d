import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import type { Db } from '../db/db.ts'
import { startJobs } from '../jobs/boss.ts'
import { takeTurn } from '../jobs/turns.ts'
import type { Runtime } from '../runtime.ts'
import type { Change, NewChange } from './changes.queries.ts'
import { applySlice, queueChange } from './changes.ts'
import { applyChanges, changesQueue } from './subscribers.jobs.ts'

// Each change is applied once and in order, even if processes die.

let database: TestDatabase
let rt: Runtime
let listId: number
let accountId: number
const firstPhone = 2_065_560_000
const people = 30

beforeEach(async () => {
  database = await freshDatabase()
  rt = makeRuntime(database)
  const list = await make.list(database.db)
  listId = list.id
  accountId = list.accountId
  await rt.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, tags) select $1, $2 + n, now(), 'subscribed', '{a,b}'
       from generate_series(0, $3::int - 1) n`,
    [listId, firstPhone, people],
  )
})
afterEach(() => database.close())

type WithoutList<T> = T extends unknown ? Omit<T, 'listId' | 'accountId'> : never

const queue = (change: WithoutList<NewChange>) =>
  rt.db.tx((tx) => queueChange(tx, { ...change, accountId, listId } as NewChange, new Date()))

/** Applies all changes in slices of this size. */
async function applyAll(on: Runtime, limit: number) {
  const queue = {
    ...changesQueue,
    apply: (tx: Db, _rt: Runtime, change: Change) => applySlice(tx, change, limit, new Date()),
  }
  while (await takeTurn(on, queue, { lastAccount: 0 }));
}

async function tagSets() {
  const rows = await rt.db.many<{ tags: string[]; n: number }>(
    'tag_sets',
    'select tags, count(*) as n from subscribers where list_id = $1 group by tags order by tags',
    [listId],
  )
  return rows.map(({ tags, n }) => [tags.join(), n])
}

const openChanges = () =>
  rt.db.many<{ cursor: number }>('open', 'select cursor_phone as cursor from subscriber_changes')

async function failures() {
  const rows = await rt.db.many<{ failures: number }>('f', 'select failures from subscriber_changes order by id')
  return rows.map((row) => row.failures)
}

/** Returns a database whose statements fail after this number of them. */
function dyingAfter(db: Db, statements: number): Db {
  let left = statements
  const wrap = (inner: Db): Db => {
    const mortal =
      <A extends unknown[], R>(run: (...args: A) => Promise<R>) =>
      (...args: A) => {
        if (left-- <= 0) return Promise.reject(new Error('killed'))
        return run(...args)
      }
    return {
      many: mortal(inner.many) as Db['many'],
      maybeOne: mortal(inner.maybeOne) as Db['maybeOne'],
      one: mortal(inner.one) as Db['one'],
      exec: mortal(inner.exec),
      tx: (work) => inner.tx((tx) => work(wrap(tx))),
      withClient: inner.withClient,
    }
  }
  return wrap(db)
}

test('a run that is killed at any statement applies every change exactly once after a restart', async () => {
  for (let statements = 0; statements < 30; statements++) {
    await rt.db.exec('reset', `update subscribers set tags = '{a,b}' where list_id = $1`, [listId])
    await queue({ kind: 'remove_tags', phones: null, tags: ['a'] })
    const dying = { ...rt, db: dyingAfter(rt.db, statements) }
    await applyAll(dying, 7).catch((error) => expect(error.message).toBe('killed'))
    // a later request adds the tag again to the numbers of applied slices, and the restart must not remove it
    const done = await rt.db.exec(
      'again',
      `update subscribers set tags = '{a}' where list_id = $1 and not 'a' = any(tags)
          and exists (select from subscriber_changes)`,
      [listId],
    )
    await applyAll(rt, 7)
    const expected = [
      ['a', done],
      ['b', people - done],
    ].filter(([, n]) => n !== 0)
    expect(await tagSets()).toEqual(expected)
    expect(await openChanges()).toEqual([])
  }
})

test('a job continues where a stopped job ended', async () => {
  await queue({ kind: 'remove_tags', phones: null, tags: ['a'] })
  await expect(applyChanges.run(rt, {}, AbortSignal.abort(new Error('stopping')))).rejects.toThrow('stopping')
  expect(await tagSets()).toEqual([['a,b', people]])
  await applyChanges.run(rt, {}, new AbortController().signal)
  expect(await tagSets()).toEqual([['b', people]])
})

test('concurrent workers apply each change once, in order', async () => {
  const phones = Array.from({ length: people }, (_, n) => firstPhone + n)
  await queue({ kind: 'add_tags', phones, tags: ['x'] })
  await queue({ kind: 'replace_tags', phones, tags: ['c'] })
  await queue({ kind: 'add_tags', phones: phones.slice(0, 10), tags: ['x', 'd'] })
  await queue({ kind: 'remove_tags', phones: null, tags: ['x'] })
  await Promise.all([1, 2, 3].map(() => applyAll(rt, 4)))
  expect(await tagSets()).toEqual([
    ['c', 20],
    ['c,d', 10],
  ])
})

test('a job enqueued in the transaction of the change applies it', async () => {
  const jobs = await startJobs(rt, [applyChanges], [])
  try {
    await queue({ kind: 'remove_tags', phones: null, tags: ['b'] })
    await expect(
      rt.db.tx(async (tx) => {
        await queueChange(tx, { accountId, listId, kind: 'remove_tags', phones: null, tags: ['a'] }, new Date())
        throw new Error('rolled back')
      }),
    ).rejects.toThrow('rolled back')
    await jobs.drain()
    expect(await tagSets()).toEqual([['a', people]])
  } finally {
    await jobs.stop()
  }
})

test('a change that fails permanently does not block the next one', async () => {
  await queue({ kind: 'update_profile', phones: [firstPhone], profile: { firstName: 'Nobody' } })
  await queue({ kind: 'remove_tags', phones: null, tags: ['a'] })
  await rt.db.exec('add_constraint', `alter table subscribers add constraint nobody check (first_name <> 'Nobody')`)
  const run = () => applyChanges.run(rt, {}, new AbortController().signal)
  await run()
  expect(await tagSets()).toEqual([['a,b', people]])
  expect(await failures()).toEqual([1, 0])
  await rt.db.exec('last', 'update subscriber_changes set failures = 20, retry_at = null where failures = 1')
  await run()
  expect(await tagSets()).toEqual([['b', people]])
  expect(await failures()).toEqual([])
})

test('a profile is written with one statement per slice, without its tags where there are too many', async () => {
  const full = Array.from({ length: 999 }, (_, n) => `tag ${n}`)
  await rt.db.exec('full', 'update subscribers set tags = $2 where list_id = $1 and phone = $3', [
    listId,
    full,
    firstPhone,
  ])
  const phones = Array.from({ length: people }, (_, n) => firstPhone + n)
  const profile = { firstName: 'Ada', tags: ['b', 'c'], customValues: { size: 'L' } }
  await queue({ kind: 'update_profile', phones, profile })
  await applyAll(rt, 10)
  // rows that one statement wrote have the same transaction and command
  const { statements } = await rt.db.one<{ statements: number }>(
    'statements',
    'select count(distinct (xmin::text, cmin::text)) as statements from subscribers where list_id = $1',
    [listId],
  )
  expect(statements).toBe(3)
  const rows = await rt.db.many(
    'profiles',
    `select first_name as name, cardinality(tags) as tags, custom_fields as values, count(*) as n
       from subscribers where list_id = $1 group by 1, 2, 3 order by 2`,
    [listId],
  )
  expect(rows).toEqual([
    { name: 'Ada', tags: 3, values: { size: 'L' }, n: people - 1 },
    { name: 'Ada', tags: 999, values: { size: 'L' }, n: 1 },
  ])
})

test('batched changes of tags and profile have the same result as changes one by one', async () => {
  const tag = fc.constantFrom<string>('a', 'b', 'c', 'd')
  const tags = fc.uniqueArray(tag, { minLength: 1, maxLength: 3 })
  const phones = fc.uniqueArray(fc.integer({ min: firstPhone, max: firstPhone + 5 }), { minLength: 1, maxLength: 4 })
  const change: fc.Arbitrary<WithoutList<NewChange>> = fc.oneof(
    fc.record({ kind: fc.constantFrom('add_tags' as const, 'replace_tags' as const), phones, tags }),
    fc.record({ kind: fc.constant('remove_tags' as const), phones: fc.constant(null), tags }),
    fc.record({
      kind: fc.constant('update_profile' as const),
      phones: phones.map((some) => some.slice(0, 1)),
      profile: fc.record({
        customValues: fc.dictionary(tag, fc.oneof(fc.constant(null), fc.string(), fc.integer()), { maxKeys: 3 }),
      }),
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 8 }), fc.integer({ min: 1, max: 9 }), async (changes, limit) => {
      await rt.db.exec('reset', `update subscribers set tags = '{}', custom_fields = '{}' where list_id = $1`, [listId])
      const expected = new Map<number, { tags: string[]; values: Record<string, unknown> }>()
      for (let n = 0; n < people; n++) expected.set(firstPhone + n, { tags: [], values: {} })
      for (const made of changes) {
        await queue(made)
        for (const phone of made.phones ?? expected.keys()) {
          const person = expected.get(phone)
          if (!person) continue
          if (made.kind === 'add_tags') person.tags = [...new Set([...person.tags, ...made.tags])]
          else if (made.kind === 'replace_tags') person.tags = [...made.tags]
          else if (made.kind === 'remove_tags') person.tags = person.tags.filter((had) => !made.tags.includes(had))
          else if ('profile' in made) {
            const merged = Object.entries({ ...person.values, ...made.profile.customValues })
            person.values = Object.fromEntries(merged.filter(([, value]) => value !== null))
          }
        }
      }
      await applyAll(rt, limit)
      const rows = await rt.db.many<{ phone: number; tags: string[]; values: object }>(
        'people',
        'select phone, tags, custom_fields as values from subscribers where list_id = $1 order by phone',
        [listId],
      )
      expect(new Map(rows.map(({ phone, ...person }) => [phone, person]))).toEqual(expected)
    }),
    { numRuns: 30 },
  )
}, 60_000)
