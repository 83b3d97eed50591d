import { randomUUID } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { explain } from '../../../test/explain.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import type { Db } from '../../db/db.ts'
import { numberEvents } from '../../events/sequence.ts'
import { deleteIdleCallbackEndpoints, findCallbackEndpoints } from './callback-endpoints.queries.ts'
import { insertDeliveries } from './deliveries.queries.ts'
import { deleteDeliveriesJob } from './delivery.jobs.ts'

// Endpoints of callbacks are deleted when nothing of them is left.

const world = useWebhooks()
const perEndpoint = 50

/** Inserts endpoints of callbacks and returns their ids. */
const addEndpoints = async (count: number) =>
  (
    await world.db.many<{ id: number }>(
      'add_endpoints',
      `insert into endpoints (account_id, origin) select $1, 'https://host' || n from generate_series(1, $2::int) n returning id`,
      [world.accountId, count],
    )
  ).map(({ id }) => id)

const addAttempts = (endpoints: number[], each = perEndpoint) =>
  world.db.exec(
    'add_attempts',
    `insert into delivery_attempts (account_id, endpoint_id, position, type, is_test, attempt, outcome, started_at,
                                    duration_ms, request_headers)
     select $1, id, 1, 'transactional_message_status', false, 1, 'delivered', $2, 5, '{}'
       from unnest($3::bigint[]) id, generate_series(1, $4::int)`,
    [world.accountId, start, endpoints, each],
  )

const addDeliveries = (endpoints: number[], each = perEndpoint) =>
  world.db.exec(
    'add_deliveries',
    `insert into deliveries (endpoint_id, position, phone, due_at)
     select id, n, n, $1 from unnest($2::bigint[]) id, generate_series(1, $3::int) n`,
    [start, endpoints, each],
  )

const remaining = async () =>
  (await world.db.many<{ id: number }>('remaining', 'select id from endpoints order by id')).map(({ id }) => id)

const runJob = (db: Db = world.db) =>
  deleteDeliveriesJob.run(makeRuntime({ db, clock: world.clock }), {}, new AbortController().signal)

beforeEach(async () => {
  await world.db.exec('analyze_empty', 'analyze endpoints, delivery_attempts, deliveries')
})

test.each(['known', 'vacuumed while they were empty'])(
  'unused endpoints are looked for and deleted by index, a bounded number in each transaction; the tables are %s',
  async (statistics) => {
    const { db } = world
    // of each three, one has attempts, one has deliveries, and one has nothing; the last one is used
    const ids = await addEndpoints(601)
    const used = (part: number) => ids.filter((_, n) => n % 3 === part)
    const fill = async () => {
      await addAttempts(used(0))
      await addDeliveries(used(1))
    }
    await fill()
    if (statistics === 'known') await db.exec('analyze', 'analyze endpoints, delivery_attempts, deliveries')
    else {
      // pages without rows
      for (const table of ['deliveries', 'delivery_attempts']) await db.exec(`empty_${table}`, `delete from ${table}`)
      await db.exec('vacuum', 'vacuum (truncate off, analyze) endpoints, delivery_attempts, deliveries')
      await fill()
    }
    const slice = 300
    const search = (tx: Db) => {
      const one: Db['one'] = async (...given) => {
        await tx.many(...given)
        return { last: null, idle: [] } as never
      }
      return deleteIdleCallbackEndpoints({ ...tx, one }, start, 0, slice)
    }
    const deletion = (tx: Db) => {
      const one: Db['one'] = async () => ({ last: null, idle: ids.slice(0, slice) }) as never
      return deleteIdleCallbackEndpoints({ ...tx, one }, start, 0, slice)
    }
    for (const statement of [search, deletion]) {
      expect((await explain(world, statement, {})).compared).toBeLessThan(10 * slice)
    }
    expect(await db.tx((tx) => deleteIdleCallbackEndpoints(tx, start, 0, 100))).toBe(ids[99])
    expect(await remaining()).toEqual(ids.filter((_, n) => n >= 100 || n % 3 !== 2))
    await runJob()
    expect(await remaining()).toEqual(ids.filter((_, n) => n % 3 !== 2))
  },
)

test('an endpoint is deleted if it has no attempt, no delivery and no lease, and if it is not that of a webhook', async () => {
  const { id: listId } = await world.listWith('https://hooks.cedar.example/')
  expect(listId).toBeGreaterThan(0)
  const [ofWebhook = 0] = await remaining()
  const [attempted = 0, waiting = 0, leased = 0, expired = 0, free = 0] = await addEndpoints(5)
  await addAttempts([attempted], 1)
  await addDeliveries([waiting], 1)
  const lease = `update endpoints set leased_by = $2, leased_until = $3 where id = $1`
  await world.db.exec('lease', lease, [leased, randomUUID(), new Date(start.getTime() + 1)])
  await world.db.exec('lease', lease, [expired, randomUUID(), new Date(start.getTime() - 1)])
  expect(free).toBeGreaterThan(expired)
  await runJob()
  expect(await remaining()).toEqual([ofWebhook, attempted, waiting, leased])
})

test('no endpoint is deleted that a fan-out has just found', async () => {
  const { db } = world
  const url = 'https://shop.example/sms'
  await db.exec(
    'report',
    `insert into event_outbox (account_id, type, phone, occurred_at, callback_url, time_zone, facts)
     values ($1, 'transactional_message_status', $2, $3, $4, 'UTC', '{"messageId":7,"status":"delivered"}')`,
    [world.accountId, phones(1)[0], start, url],
  )
  const [known] = await db.tx((tx) =>
    findCallbackEndpoints(tx, [{ accountId: world.accountId, origin: new URL(url).origin }]),
  )
  let turns = 0
  const counted: Db = {
    ...db,
    tx: (work) =>
      db.tx(async (tx) => {
        turns++
        return work(tx)
      }),
  }
  let job: Promise<void> | undefined
  await numberEvents(db, async (tx, events) => {
    await findCallbackEndpoints(tx, [{ accountId: world.accountId, origin: new URL(url).origin }])
    job = runJob(counted)
    await waitFor(() => turns > 2)
    await insertDeliveries(tx, events, start)
  })
  await job
  expect(await db.many('deliveries', 'select endpoint_id as id from deliveries')).toEqual([{ id: known }])
  expect(await remaining()).toEqual([known])
})
