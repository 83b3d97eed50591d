import { expect, test } from 'vitest'
import { waitFor } from '../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../test/webhook-world.ts'
import { insertDeliveries, listDueDeliveries } from '../webhooks/delivery/deliveries.queries.ts'
import { takeRecorded } from './events.queries.ts'
import { getFeedPage } from './feed.ts'
import { FeedWaiters } from './feed-waiters.ts'
import { numberEvents } from './sequence.ts'

// The payload of an event with 200 custom fields of 9,999 characters has 2 MB. A process that reads a thousand of them at once needs
// more memory than it has, and then no account gets events.

const world = useWebhooks()
const megabyte = 1_000_000

/** Adds fields to a list, whose keys begin with its id, with a default value of this length. */
const addFields = (list: { id: number }, count: number, length: number) =>
  world.db.exec(
    'add_fields',
    `insert into custom_fields (list_id, key, label, content_type, max_length, default_value, created_at, updated_at)
     select $1::bigint, $1::bigint || '_' || n, 'Field ' || n, 'text', 9999, repeat('x', $3), $4, $4 from generate_series(1, $2) n`,
    [list.id, count, length, start],
  )

/** Inserts opt-ins of these phones, whose events are not numbered yet. */
const optIn = (list: { id: number }, numbers: number[]) =>
  world.db.exec(
    'opt_in',
    `with s as (insert into subscribers (list_id, phone, state, created_at)
                select $1, phone, 'subscribed', $3 from unnest($2::bigint[]) phone)
     insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     select $4, $1, phone, 'opt_in', 'api', 'test', $3 from unnest($2::bigint[]) phone`,
    [list.id, numbers, start, world.accountId],
  )

/** Inserts opt-ins of these phones, each with an event of 2 MB. */
async function record(list: { id: number }, numbers: number[]) {
  await addFields(list, 200, 9_999)
  await optIn(list, numbers)
}

test('events with large payloads are numbered in several transactions, in their order', async () => {
  const list = await world.listWith('http://127.0.0.1:1/')
  await record(list, phones(12))
  const batches: (number | null)[][] = []
  const lengths: number[] = []
  const number = () =>
    numberEvents(world.db, async (_tx, events) => {
      // not expected here: an error would make the next batch smaller
      lengths.push(events.reduce((sum, { payload }) => sum + payload.length, 0))
      batches.push(events.map(({ phone }) => phone))
    })
  while ((await number()).isFull);
  expect(Math.max(...lengths)).toBeLessThan(18 * megabyte)
  expect(batches.length).toBeGreaterThan(1)
  expect(batches.flat()).toEqual(phones(12))
})

test('events with large values are taken in several transactions, and one at least', async () => {
  const insert = `insert into event_outbox (account_id, type, occurred_at, time_zone, facts)
                  select $1, 'subscribe', $2, 'UTC', jsonb_build_object('value', repeat('x', $3)) from generate_series(1, $4)`
  await world.db.exec('insert', insert, [world.accountId, start, 20 * megabyte, 1])
  await world.db.exec('insert', insert, [world.accountId, start, 2 * megabyte, 10])
  const taken: number[] = []
  for (let isFull = true; isFull; ) {
    const batch = await takeRecorded(world.db, 1_000)
    taken.push(batch.events.length)
    isFull = batch.isFull
  }
  expect(taken[0]).toBe(1)
  expect(Math.max(...taken)).toBeLessThan(9)
  expect(taken.reduce((sum, count) => sum + count)).toBe(11)
})

test('a page of the feed, or of deliveries, has few large payloads; all are read, and arrive', async () => {
  const receiver = await world.receiverOf()
  const list = await world.listWith(receiver.url)
  await record(list, phones(7))
  await world.db.exec('feed', 'update accounts set event_feed = true where id = $1', [world.accountId])
  const { last: before } = await world.db.one<{ last: number }>(
    'last',
    'select last_position as last from event_sequence',
  )
  while ((await numberEvents(world.db, (tx, events) => insertDeliveries(tx, events, start))).isFull);

  const query = { accountId: world.accountId, apiKeyId: 0, types: null, limit: 1_000, waitMs: 0 }
  const read: number[] = []
  for (let after = before, isEnd = false; !isEnd; ) {
    const { signal } = new AbortController()
    const page = await getFeedPage(world.db, new FeedWaiters(world.db), { ...query, after, signal })
    expect(page.events.length).toBeLessThan(3)
    read.push(...page.events.map(({ position }) => position - before))
    after = page.nextAfter
    isEnd = page.events.length === 0
  }
  expect(read).toEqual([1, 2, 3, 4, 5, 6, 7])

  const { id } = await world.db.one<{ id: number }>('endpoint', 'select id from endpoints')
  const due = await listDueDeliveries(world.db, id, start, [], { limit: 100, maxReplays: 20 })
  expect(due.length).toBeGreaterThan(0)
  expect(due.length).toBeLessThan(3)
  const dispatcher = world.newDispatcher()
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.pending()) === 0
  })
  expect(receiver.received.map(({ body }) => Number(body.phone_number)).toSorted()).toEqual(phones(7))
})

test('events of many lists have the fields of their lists', async () => {
  const expected: string[] = []
  for (let n = 0; n < 45; n++) {
    const list = await world.listWith('http://127.0.0.1:1/')
    await addFields(list, 1, 3)
    await optIn(list, phones(2))
    expected.push(`${list.id}_1`, `${list.id}_1`)
  }
  const keys: unknown[] = []
  await numberEvents(world.db, async (_tx, events) => {
    for (const { payload } of events) keys.push(Object.keys(JSON.parse(payload)).at(-1))
  })
  expect(keys).toEqual(expected)
})
