import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { returnEventsJob } from './events.jobs.ts'
import { becomeSequencer } from './events.queries.ts'
import { numberEvents, type UnnumberedEvent } from './sequence.ts'
import { setEventAside } from './set-aside.queries.ts'
import { makeSetAsideReporter } from './set-aside.ts'

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

test('a round without events locks nothing', async () => {
  // PostgreSQL stores the last transaction that locked a row in its xmax
  const findLock = () => database.db.one('find_lock', 'select xmax::text from event_sequence')
  await optIn(database.db, 2_065_550_101)
  expect(await number()).toHaveLength(1)
  const locked = await findLock()
  expect(await number()).toEqual([])
  expect(await findLock()).toEqual(locked)
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
  const [numbered, reported]: [number[], [id: number, failures: number][]] = [[], []]
  const clock = { time: new Date(), now: () => clock.time }
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
    const onSetAside = ({ id, failures }: UnnumberedEvent) => void reported.push([id, failures])
    while ((await numberEvents(db, keep, { onSetAside, clock })).isFull);
  }
  let isBroken = true
  await numberAll()
  expect(numbered).toEqual(phones.filter((phone) => phone !== 2_065_550_113 && phone !== 2_065_550_120))
  expect(reported).toEqual([
    [unrendered, 1],
    [unqueued, 1],
  ])

  isBroken = false
  const runAfter = async (hours: number) => {
    clock.time = new Date(clock.time.getTime() + hours * 3_600_000)
    await returnEventsJob.run(makeRuntime({ ...database, clock }), {}, new AbortController().signal)
    await numberAll()
  }
  await runAfter(0.99)
  expect(numbered).toHaveLength(38)
  await runAfter(0.01)
  expect(numbered.slice(38)).toEqual([2_065_550_120])
  expect(reported.slice(2)).toEqual([[unrendered, 2]])
  await db.exec('repair', `update events_set_aside set facts = facts || '{"subscriber":{}}'`)
  await runAfter(1.99)
  expect(numbered).toHaveLength(39)
  await runAfter(0.01)
  expect(numbered.slice(39)).toEqual([2_065_550_113])
  expect(await db.many('rest', 'select from events_set_aside')).toEqual([])
})

test('an event that fails again and again is retried after twice as long each time, up to a day, and logged once', async () => {
  const { db } = database
  await optIn(db, 2_065_550_101)
  const at = new Date('2026-03-02T10:00:00Z')
  const lines: object[] = []
  const report = makeSetAsideReporter({ error: (fields: object) => void lines.push(fields) } as never)
  const hours: number[] = []
  for (let n = 0; n < 7; n++) {
    const { id } = await db.one<{ id: number }>('outbox', 'select id from event_outbox')
    const failures = (await setEventAside(db, id, 'TypeError', at)) ?? 0
    report({ id, failures, error: new TypeError('no subscriber') })
    const { retryAt } = await db.one<{ retryAt: Date }>('aside', 'select retry_at as "retryAt" from events_set_aside')
    hours.push((retryAt.getTime() - at.getTime()) / 3_600_000)
    await returnEventsJob.run(
      makeRuntime({ ...database, clock: { now: () => retryAt } }),
      {},
      new AbortController().signal,
    )
  }
  expect(hours).toEqual([1, 2, 4, 8, 16, 24, 24])
  expect(lines).toHaveLength(1)
  for (let id = 1; id <= 100; id++) report({ id, failures: 1, error: new TypeError('no subscriber') })
  expect(lines).toHaveLength(20)
})

test('many events with the same fault are set aside in few transactions, and the next event is numbered', async () => {
  const { db } = database
  const faulty = 120
  for (let n = 0; n < faulty; n++) await optIn(db, 2_065_550_100 + n)
  await db.exec('spoil_all', `update event_outbox set facts = facts - 'subscriber'`)
  await optIn(db, 2_065_550_100 + faulty)
  let transactions = 0
  const counting: typeof db = {
    ...db,
    tx: (run) => {
      transactions++
      return db.tx(run)
    },
  }
  const numbered: (number | null)[] = []
  const keep = async (_tx: typeof db, events: { phone: number | null }[]) => {
    numbered.push(...events.map(({ phone }) => phone))
  }
  while ((await numberEvents(counting, keep)).isFull);
  expect(numbered).toEqual([2_065_550_100 + faulty])
  expect(transactions).toBeLessThan(3 * faulty)
  await db.exec('forget', 'delete from events_set_aside')
})
