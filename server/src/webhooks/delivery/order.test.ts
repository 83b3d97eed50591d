import { describe, expect, test } from 'vitest'
import { explain } from '../../../test/explain.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { numberEvents } from '../../events/sequence.ts'
import { insertDeliveries, listDueDeliveries } from './deliveries.queries.ts'
import { recordAttempts } from './results.queries.ts'

// Of each phone and endpoint, only the first delivery is due; the others are behind it.

const world = useWebhooks()
const [phone = 0] = phones(1)

type Row = { id: number; behind: boolean }
const rows = () =>
  world.db.many<Row>('read_rows', 'select id, is_behind as behind from deliveries where phone is not null order by id')

const endpointId = async () => (await world.db.one<{ id: number }>('read_id', 'select id from endpoints')).id

/** Records a result of a delivery. */
async function record(db: typeof world.db, id: number, outcome: 'delivered' | 'dead') {
  const [endpoint, at] = [await endpointId(), world.clock.time]
  const delivery = { id, position: 1, type: 'subscribe', phone, isTest: false, round: 0, accountId: world.accountId }
  await recordAttempts(db, [
    {
      delivery: { ...delivery, endpointId: endpoint },
      ...{ revision: 0, attempt: 1, outcome, retryAt: null, pauseMs: 0, startedAt: at, durationMs: 5 },
      ...{ request: { url: null, headers: {} }, status: 200, error: null, response: null },
    },
  ])
}

const waitForLock = () => {
  const blocked = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return waitFor(async () => (await world.db.exec('blocked', blocked)) === 1)
}

describe('an event of a phone whose only delivery ends at the same time is not left behind', () => {
  test('if the end is committed first', async () => {
    const list = await world.listWith('http://127.0.0.1/')
    await world.optIn(list, [phone])
    const [first] = await rows()
    const { inserted } = await world.db.tx(async (tx) => {
      await record(tx, first?.id ?? 0, 'delivered')
      const inserted = world.optIn(list, [phone])
      await waitForLock()
      return { inserted }
    })
    await inserted
    expect(await rows()).toEqual([{ id: expect.any(Number), behind: false }])
  })

  test('if the event is committed first', async () => {
    const list = await world.listWith('http://127.0.0.1/')
    await world.optIn(list, [phone])
    const [first] = await rows()
    await world.db.exec(
      'opt_in_again',
      `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
       values ($1, $2, $3, 'opt_in', 'api', 'test', now())`,
      [world.accountId, list.id, phone],
    )
    let recorded: Promise<void> | undefined
    await numberEvents(world.db, async (tx, events) => {
      await insertDeliveries(tx, events, world.clock.time)
      recorded = record(world.db, first?.id ?? 0, 'delivered')
      await waitForLock()
    })
    await recorded
    expect(await rows()).toEqual([{ id: expect.any(Number), behind: false }])
  })
})

test('events of a phone in one batch are behind each other, and follow one by one', async () => {
  const list = await world.listWith('http://127.0.0.1/')
  await world.optIn(list, [phone, phone + 1, phone])
  await world.optIn(list, [phone])
  for (const left of [3, 2, 1]) {
    const ofPhone = await world.db.many<Row>(
      'read_rows_of_phone',
      'select id, is_behind as behind from deliveries where phone = $1 order by id',
      [phone],
    )
    expect(ofPhone.map(({ behind }) => behind)).toEqual([false, ...Array.from({ length: left - 1 }, () => true)])
    await record(world.db, ofPhone[0]?.id ?? 0, 'delivered')
  }
})

test('after an event was given up, also later ones of the phone are marked, until one is received', async () => {
  const receiver = await world.receiverOf((res, _event, n) => void res.writeHead(n === 2 ? 500 : 204).end())
  const list = await world.listWith(receiver.url)
  await world.optIn(list, [phone])
  await record(world.db, (await rows())[0]?.id ?? 0, 'dead')
  expect(await rows()).toEqual([])
  const dispatcher = world.newDispatcher()
  const deliver = () =>
    waitFor(async () => {
      await dispatcher.round()
      return (await world.pending()) === 0
    })
  await world.optIn(list, [phone + 1])
  await deliver()
  // its first attempt fails
  await world.optIn(list, [phone])
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.attemptsOf()).length === 3
  })
  world.clock.time = new Date(start.getTime() + 45_000)
  await deliver()
  await world.optIn(list, [phone])
  await deliver()
  expect(receiver.received.map(({ headers }) => headers['carillon-after-dead-letter'])).toEqual([
    ...[undefined, 'true', 'true', undefined],
  ])
})

test('the due deliveries of an endpoint are read by index, also if 20,000 of one phone wait', async () => {
  await world.listWith('http://127.0.0.1/')
  const id = await endpointId()
  await world.db.exec(
    'fill',
    `with p as (update event_sequence set last_position = last_position + 21000 returning last_position - 21000 as base),
          e as (insert into events (position, account_id, type, phone, occurred_at, payload)
                select base + n, $2, 'subscribe', $3::bigint + greatest(0, n - 20000), $4, '{}' from p, generate_series(1, 21000) n)
     insert into deliveries (endpoint_id, position, phone, due_at, is_behind)
     select $1, base + n, $3::bigint + greatest(0, n - 20000), $4, n between 2 and 20000 from p, generate_series(1, 21000) n`,
    [id, world.accountId, phone, world.clock.time],
  )
  await world.db.exec('analyze', 'analyze deliveries, events')
  const read = (db: typeof world.db) => listDueDeliveries(db, id, world.clock.time, [], { limit: 100, maxReplays: 20 })
  const { rows: count, buffers } = await explain(world.database, read, {})
  expect(count).toBe(100)
  // 100 deliveries, their events, and whether an earlier one was given up
  expect(buffers).toBeLessThan(1_000)
  const due = await read(world.db)
  expect(due.map((delivery) => delivery.phone)).toEqual(phones(100))
})
