import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import type { Db } from '../db/db.ts'
import { insertDeliveries } from '../webhooks/delivery/deliveries.queries.ts'
import { findReplayable } from '../webhooks/replays/replays.queries.ts'
import { deleteEvents, findNewEvents, readFeed, takeRecorded } from './events.queries.ts'
import { feedPositions } from './positions.ts'

// What the feed, its waiting reads, the retention, the sequencer and the fan-out read does not depend on the number of events, accounts
// and webhooks; for events, which become many within a minute, whether the statistics know it or not.

const size = 1_000_000
const outbox = 50_000
const lists = 5_000
const at = new Date('2026-03-02T10:00:00Z')
let database: TestDatabase
let large: number
let small: number

beforeAll(async () => {
  database = await freshDatabase()
  large = (await make.account(database.db)).id
  small = (await make.account(database.db)).id
  const { id: shortCodeId } = await make.shortCode(database.db, { accountId: large })
  await database.db.exec('analyze_empty', 'analyze events, event_outbox')
  // the small account has the first and the last ten events
  await database.db.exec(
    'fill_events',
    `insert into events (position, account_id, type, occurred_at, payload)
     select n, case when n <= 10 or n > ${size} - 10 then $2::bigint else $1 end, 'subscribe', $3, '{}'
       from generate_series(1, ${size}) n`,
    [large, small, at],
  )
  await database.db.exec('last', `update event_sequence set last_position = ${size}`)
  await database.db.exec(
    'fill_outbox',
    `insert into event_outbox (account_id, type, occurred_at, time_zone, facts)
     select $1, 'subscribe', $2, 'UTC', '{}' from generate_series(1, ${outbox})`,
    [large, at],
  )
  await database.db.exec(
    'fill_webhooks',
    `with l as (
       insert into lists (account_id, short_code_id, name, created_at, updated_at)
       select $1, $2, 'L' || n, now(), now() from generate_series(1, ${lists}) n returning id
     ), w as (
       insert into webhooks (list_id, callback_url, subscribe, created_at, updated_at)
       select id, 'https://hooks.cedar.example/', true, now(), now() from l returning id)
     insert into endpoints (account_id, webhook_id) select $1, id from w`,
    [large, shortCodeId],
  )
}, 120_000)
afterAll(() => database.close())

/** Returns the number of rows that the statement compares, and of pages that it reads, also in functions. */
const read = (run: (db: Db) => Promise<unknown>) =>
  explain(database, (db) => run({ ...db, one: db.many as Db['one'] }), { jit: 'off' })

describe.each(['unknown', 'known'])('while the size is %s to the statistics', (statistics) => {
  beforeAll(async () => {
    if (statistics === 'known') await database.db.exec('analyze', 'analyze events, event_outbox')
  }, 60_000)

  test.each([
    ['before all events of others', 0, null],
    ['behind which are only events of others', 10, null],
    ['and a type that there is not', 10, ['cleaned']],
  ])('a page after a position %s is read from the events of the account', async (_name, after, types) => {
    const found = await read((db) => readFeed(db, { accountId: small, after, types, limit: 100 }))
    expect(found.buffers).toBeLessThan(400)
  })

  test('a page of a type that there is not compares a limited number of events', async () => {
    const found = await read((db) => readFeed(db, { accountId: large, after: 100, types: ['cleaned'], limit: 100 }))
    expect(found.compared).toBeLessThan(100_000)
    expect(found.buffers).toBeLessThan(1_000)
  })

  test('what waiting reads look for is read from the events of their accounts', async () => {
    const afters = new Map([
      [small, 10],
      [large, size - 100],
    ])
    const found = await read((db) => findNewEvents(db, afters))
    expect(found.buffers).toBeLessThan(400)
  })

  test('the retention reads the oldest events only', async () => {
    const found = await read((db) => deleteEvents(db, feedPositions, new Date(at.getTime() + 1), 100))
    expect(found.compared).toBeLessThan(3_000)
  })

  test('the sequencer takes the oldest events only', async () => {
    const found = await read((db) => takeRecorded(db, 100))
    expect(found.rows).toBe(100)
    expect(found.compared).toBeLessThan(3_000)
  })
})

test('the oldest event that may be replayed is read from an index', async () => {
  const { id } = await database.db.one<{ id: number }>('a_webhook', 'select min(id) as id from webhooks')
  for (const oldest of [at, new Date(at.getTime() + 1)]) {
    expect((await read((db) => findReplayable(db, id, 5, oldest))).buffers).toBeLessThan(100)
  }
})

test('the fan-out finds the webhooks of the lists of its events', async () => {
  await database.db.exec('analyze_webhooks', 'analyze webhooks, endpoints')
  const { id: listId } = await database.db.one<{ id: number }>('a_list', `select min(id) + 9 as id from lists`)
  const event = { position: 1, accountId: large, listId, type: 'subscribe' as const, phone: null, occurredAt: at }
  const found = await read((db) => insertDeliveries(db, [{ ...event, payload: '{}', callbackUrl: null }], at))
  expect(found.rows).toBe(1)
  expect(found.compared).toBeLessThan(500)
})
