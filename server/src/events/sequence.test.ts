import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { returnEventsJob } from './events.jobs.ts'
import { becomeSequencer } from './events.queries.ts'
import { numberEvents } from './sequence.ts'

let database: TestDatabase
let list: { id: number; accountId: number }

beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

beforeEach(async () => {
  const { db } = database
  const { id: accountId } = await make.account(db)
  await db.exec('feed', 'update accounts set event_feed = true where id = $1', [accountId])
  const { id: shortCodeId } = await make.shortCode(db, { accountId })
  list = { ...(await make.list(db, { accountId, shortCodeId })), accountId }
})

/** Inserts a subscriber and the opt-in. */
const optIn = (db: TestDatabase['db'], phone: number) =>
  db.exec(
    'opt_in',
    `with s as (insert into subscribers (list_id, phone, state, created_at) values ($1, $2, 'subscribed', now()))
     insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     values ($3, $1, $2, 'opt_in', 'api', 'test', now())`,
    [list.id, phone, list.accountId],
  )

/** Numbers a batch of events and returns their positions and phones. */
async function number(): Promise<[number, number | null][]> {
  const numbered: [number, number | null][] = []
  await numberEvents(database.db, async (_tx, events) => {
    for (const { position, phone } of events) numbered.push([position, phone])
  })
  return numbered
}

test('positions follow the order in which transactions become visible', async () => {
  const committing = Promise.withResolvers<void>()
  const inserted = Promise.withResolvers<void>()
  const first = database.db.tx(async (tx) => {
    await optIn(tx, 2_065_550_101)
    await tx.exec('fire', 'set constraints all immediate')
    inserted.resolve()
    await committing.promise
  })
  await inserted.promise
  await optIn(database.db, 2_065_550_102)
  const early = await number()
  committing.resolve()
  await first
  const late = await number()
  expect([early, late].map((numbered) => numbered.map(([, phone]) => phone))).toEqual([
    [2_065_550_102],
    [2_065_550_101],
  ])
  expect(late[0]?.[0]).toBe((early[0]?.[0] ?? 0) + 1)
})

test('concurrent sequencers number each event once', async () => {
  for (let n = 0; n < 5; n++) await optIn(database.db, 2_065_550_100 + n)
  const numbered = (await Promise.all([number(), number(), number()])).flat()
  expect(numbered.map(([, phone]) => phone).toSorted()).toEqual([0, 1, 2, 3, 4].map((n) => 2_065_550_100 + n))
  expect(new Set(numbered.map(([position]) => position)).size).toBe(5)
})

test('while one transaction numbers events, others take none, which could be of the same phone', async () => {
  await optIn(database.db, 2_065_550_101)
  await database.db.tx(async (tx) => {
    expect(await becomeSequencer(tx)).toBe(true)
    expect(await number()).toEqual([])
  })
  expect(await number()).toHaveLength(1)
})

test('events stay in the outbox if the database fails after they have their numbers', async () => {
  await optIn(database.db, 2_065_550_101)
  const lost = Object.assign(new Error('no fan-out'), { code: 'ECONNRESET' })
  await expect(numberEvents(database.db, () => Promise.reject(lost))).rejects.toThrow('no fan-out')
  expect(await number()).toHaveLength(1)
})

test('an event with values that cannot be numbered or queued stops no other one, is reported, and is tried again', async () => {
  const { db } = database
  const phones = Array.from({ length: 40 }, (_, n) => 2_065_550_100 + n)
  for (const phone of phones) await optIn(db, phone)
  const spoil = `update event_outbox set facts = facts - 'subscriber' where phone = $1 returning id`
  const { id: unrendered } = await db.one<{ id: number }>('spoil', spoil, [2_065_550_113])
  const { id: unqueued } = await db.one<{ id: number }>(
    'find',
    'select id from event_outbox where phone = $1',
    [2_065_550_120],
  )
  const [numbered, reported]: [number[], number[]] = [[], []]
  const numberAll = async () => {
    const queue = async (tx: typeof db, events: { phone: number | null }[]) => {
      if (isBroken && events.some(({ phone }) => phone === 2_065_550_120)) {
        await tx.exec('fail', `select 'x'::int`)
      }
    }
    const keep = async (tx: typeof db, events: { phone: number | null }[]) => {
      await queue(tx, events)
      numbered.push(...events.map(({ phone }) => phone ?? 0))
    }
    while ((await numberEvents(db, keep, ({ id }) => void reported.push(id))).isFull);
  }
  let isBroken = true
  await numberAll()
  expect(numbered).toEqual(phones.filter((phone) => phone !== 2_065_550_113 && phone !== 2_065_550_120))
  expect(reported).toEqual([unrendered, unqueued])

  isBroken = false
  const run = () => returnEventsJob.run(makeRuntime(database), {}, new AbortController().signal)
  await run()
  await numberAll()
  expect(numbered.slice(38)).toEqual([2_065_550_120])
  expect(reported.slice(2)).toEqual([unrendered])
  await db.exec('repair', `update events_set_aside set facts = facts || '{"subscriber":{}}'`)
  await run()
  await numberAll()
  expect(numbered.slice(39)).toEqual([2_065_550_113])
  expect(await db.many('rest', 'select from events_set_aside')).toEqual([])
})
