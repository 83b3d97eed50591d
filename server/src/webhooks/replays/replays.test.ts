import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, makeCaller } from '../../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { makeApp } from '../../http/app.ts'
import { type Rotation, takeTurn } from '../../jobs/turns.ts'
import type { Runtime } from '../../runtime.ts'
import { listDueDeliveries } from '../delivery/deliveries.queries.ts'
import { replaysQueue } from './replays.jobs.ts'
import { maxReplayed } from './replays.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const minutes = (n: number) => new Date(start.getTime() + n * 60_000)
const phone = 2_065_550_100

let database: TestDatabase
let rt: Runtime
let app: FastifyInstance
let owner: ApiCaller
let stranger: ApiCaller
let listId: number
let webhookId: number

beforeAll(async () => {
  database = await freshDatabase()
  rt = makeRuntime({ ...database, clock })
  app = await makeApp(rt)
  owner = await makeCaller(database.db, app)
  stranger = await makeCaller(database.db, app)
})
afterAll(async () => {
  await app.close()
  await database.close()
})
beforeEach(async () => {
  clock.time = start
  await database.db.exec('forget', 'truncate events, deliveries, delivery_attempts, webhooks cascade')
  await database.db.exec('reset', 'update event_sequence set last_position = 0, deleted_position = 0')
  listId = (await make.list(database.db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id })).id
  webhookId = await newWebhook(listId)
})

/** Creates a webhook that receives `subscribe`. */
async function newWebhook(list: number): Promise<number> {
  const { id } = await make.webhook(database.db, { listId: list })
  await database.db.exec('flag', 'update webhooks set subscribe = true where id = $1', [id])
  return id
}

/** Inserts this number of events, each of another phone, and returns the last position. */
async function newEvents(count: number, { list = listId, type = 'subscribe', at = start, caller = owner } = {}) {
  const { last } = await database.db.one<{ last: number }>(
    'add_events',
    `with last as (update event_sequence set last_position = last_position + $1 returning last_position as n)
     , added as (
       insert into events (position, account_id, list_id, type, phone, occurred_at, payload)
       select last.n - $1 + k, $2, $3, $4, ${phone} + k, $5, '{}' from last, generate_series(1, $1) k)
     select n as last from last`,
    [count, caller.accountId, list, type, at],
  )
  return last
}

const failed = (position: number, outcome: string, startedAt: Date) =>
  make.deliveryAttempt(database.db, { webhookId, position, outcome, startedAt, phone: phone + position })

const path = () => `/lists/${listId}/webhooks/${webhookId}/replays`
const ask = (replay: object, caller = owner) => caller.post(path(), { replay })

/** Does all turns, as a worker does, and returns their number. */
async function work(): Promise<number> {
  const rotation: Rotation = { lastAccount: 0 }
  let turns = 0
  while (await takeTurn(rt, replaysQueue, rotation)) turns++
  return turns
}

const queue = async (webhook = webhookId) =>
  (
    await database.db.many<{ position: number }>(
      'read_queue',
      'select position from deliveries d join endpoints p on p.id = d.endpoint_id where p.webhook_id = $1 order by d.id',
      [webhook],
    )
  ).map(({ position }) => position)

async function replayOf(response: { body: Record<string, unknown> }) {
  const { id } = response.body.replay as { id: number }
  return (await owner.get(`${path()}/${id}`)).body.replay
}

describe('a replay', () => {
  test('of one event queues it for this webhook only', async () => {
    const other = await newWebhook(listId)
    await newEvents(3)
    const response = await ask({ position: 2 })
    expect(response.status).toBe(202)
    expect(response.body.replay).toMatchObject({
      webhook_id: webhookId,
      state: 'queued',
      from_position: 2,
      replayed: 0,
    })
    await work()
    expect(await queue()).toEqual([2])
    expect(await queue(other)).toEqual([])
    expect(await replayOf(response)).toMatchObject({
      state: 'done',
      replayed: 1,
      ended_at: '2026-03-02T02:00:00-08:00',
    })
    const due = await database.db.one('read_due', 'select next_due_at as at from endpoints where webhook_id = $1', [
      webhookId,
    ])
    expect(due).toEqual({ at: start })
  })

  test('of a range queues what the webhook receives, in order', async () => {
    const otherList = await make.list(database.db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id })
    await newEvents(2)
    await newEvents(1, { type: 'cleaned' })
    await newEvents(1, { list: otherList.id })
    await newEvents(1, { caller: stranger })
    await newEvents(2)
    const response = await ask({ from_position: 2 })
    await newEvents(1)
    await work()
    expect(await queue()).toEqual([2, 6, 7])
    expect(await replayOf(response)).toMatchObject({ from_position: 2, to_position: 7, replayed: 3 })
  })

  test('of failures queues what was given up and not delivered later', async () => {
    await newEvents(6)
    await failed(1, 'dead', minutes(1))
    await failed(2, 'dead', minutes(2))
    await failed(3, 'dead', minutes(2))
    await failed(3, 'delivered', minutes(3))
    await failed(4, 'dead', minutes(3))
    await failed(4, 'dead', minutes(4))
    await failed(5, 'failed', minutes(4))
    await failed(5, 'delivered', minutes(5))
    clock.time = minutes(10)
    const response = await ask({ failed_since: '2026-03-02T10:02:00Z' })
    await failed(6, 'dead', minutes(11))
    await work()
    expect(await queue()).toEqual([2, 4])
    expect(await replayOf(response)).toMatchObject({ failed_since: '2026-03-02T02:02:00-08:00', replayed: 2 })
  })

  test('makes what waits for a retry due, also later events of the phone', async () => {
    await newEvents(2)
    await database.db.exec('same_phone', 'update events set phone = $1', [phone])
    await database.db.exec(
      'wait',
      `insert into deliveries (endpoint_id, position, phone, attempts, due_at)
       select p.id, n, $2, 3 - n, $3 from endpoints p, generate_series(1, 2) n where p.webhook_id = $1`,
      [webhookId, phone, minutes(30)],
    )
    await failed(1, 'failed', minutes(0))
    clock.time = minutes(1)
    const response = await ask({ failed_since: '2026-03-02T10:00:00Z' })
    await work()
    expect(await queue()).toEqual([1, 2])
    const due = await database.db.many('read_times', 'select attempts, due_at as at from deliveries order by id')
    expect(due).toEqual([
      { attempts: 2, at: minutes(1) },
      { attempts: 1, at: minutes(1) },
    ])
    expect(await replayOf(response)).toMatchObject({ replayed: 1 })
    const { id } = await database.db.one<{ id: number }>('endpoint', 'select id from endpoints where webhook_id = $1', [
      webhookId,
    ])
    expect(await listDueDeliveries(database.db, id, minutes(1), [], 10)).toMatchObject([{ position: 1 }])
  })

  test('requested twice at once, and interrupted by numbering, queues each event once', async () => {
    await newEvents(2_500)
    const responses = await Promise.all([ask({ from_position: 1 }), ask({ from_position: 1 }), ask({ position: 5 })])
    await Promise.all([work(), work(), work()])
    await work()
    const positions = await queue()
    expect(positions).toHaveLength(2_500)
    expect(new Set(positions).size).toBe(2_500)
    const replayed = await Promise.all(
      responses.map(async (each) => ((await replayOf(each)) as { replayed: number }).replayed),
    )
    expect(replayed.reduce((sum, n) => sum + n)).toBe(2_500)
  })

  test('queues at most its cap, and another one continues it', async () => {
    await newEvents(maxReplayed + 2)
    const response = await ask({ from_position: 1 })
    await work()
    expect(await queue()).toHaveLength(maxReplayed)
    expect(await replayOf(response)).toMatchObject({
      state: 'capped',
      replayed: maxReplayed,
      next_position: maxReplayed + 1,
    })
    const rest = await ask({ from_position: maxReplayed + 1 })
    await work()
    expect(await replayOf(rest)).toMatchObject({ state: 'done', replayed: 2, next_position: null })
    expect(await queue()).toHaveLength(maxReplayed + 2)
  })

  test('of one account does not delay that of another by more than a turn', async () => {
    await newEvents(5_000)
    const list = await make.list(database.db, { accountId: stranger.accountId, shortCodeId: stranger.shortCode.id })
    const webhook = await newWebhook(list.id)
    const position = await newEvents(1, { list: list.id, caller: stranger })
    await ask({ from_position: 1 })
    await ask({ from_position: 1 })
    await stranger.post(`/lists/${list.id}/webhooks/${webhook}/replays`, { replay: { position } })
    let ms = 0
    // each slice lasts as long as a turn
    const rotation: Rotation = { lastAccount: 0, stopwatch: () => (ms += 100) }
    await takeTurn(rt, replaysQueue, rotation)
    await takeTurn(rt, replaysQueue, rotation)
    expect(await queue(webhook)).toEqual([position])
    expect((await queue()).length).toBeLessThanOrEqual(1_000)
    await work()
  })
})

describe('rejects', () => {
  test.each<[object, string]>([
    [{}, 'Replay must have exactly one of position, from_position and failed_since'],
    [{ position: 1, failed_since: '2026-03-02T10:00:00Z' }, 'Replay must have exactly one'],
    [{ position: 1, to_position: 2 }, 'To position is allowed with from_position only'],
    [{ from_position: 2, to_position: 1 }, 'To position must not be less than from_position'],
    [{ from_position: 1, to_position: 1 }, 'To position is after the last event, which is at 0'],
    [{ position: 999 }, 'Position is not an event that this webhook receives'],
    [{ position: 0 }, 'Position'],
    [{ failed_since: 'yesterday' }, 'Failed since must be a time with an offset'],
    [{ failed_since: '2026-01-30T10:00:00Z' }, 'Failed since must be in the last 30 days'],
  ])('%j', async (replay, error) => {
    const { status, body } = await ask(replay)
    expect(status).toBe(422)
    expect(body.error).toContain(`Validation failed: ${error}`)
    expect(await work()).toBe(0)
  })

  test('events that are deleted, or will be soon, of others, and of other types', async () => {
    await newEvents(1, { at: minutes(-30 * 24 * 60 + 5) })
    await newEvents(1, { type: 'cleaned' })
    await newEvents(1, { caller: stranger })
    await newEvents(2)
    await database.db.exec('delete', 'update event_sequence set deleted_position = 0')
    expect(await ask({ position: 1 })).toMatchObject({ status: 410, body: { code: 'events_deleted' } })
    await ask({ from_position: 1 })
    await work()
    expect(await queue()).toEqual([4, 5])
    for (const position of [2, 3]) expect((await ask({ position })).status).toBe(422)
    await database.db.exec('delete_three', 'update event_sequence set deleted_position = 3')
    for (const replay of [{ position: 3 }, { from_position: 3 }]) {
      const { status, body } = await ask(replay)
      expect(status).toBe(410)
      expect(body).toMatchObject({ code: 'events_deleted', details: { oldest_position: ['4'] } })
    }
    expect(await work()).toBe(0)
  })

  test('a disabled webhook until it is enabled, and a foreign one', async () => {
    await newEvents(1)
    await database.db.exec('disable', `update endpoints set disabled_at = $1, disabled_reason = 'gone'`, [start])
    expect(await ask({ position: 1 })).toMatchObject({ status: 422, body: { code: 'webhook_disabled' } })
    await owner.put(`/lists/${listId}/webhooks/${webhookId}`, { webhook: {} })
    expect((await ask({ position: 1 })).status).toBe(202)
    await work()
    expect(await queue()).toEqual([1])
    expect(await ask({ position: 1 }, stranger)).toMatchObject({ status: 404 })
    expect((await owner.get(`${path()}/999999`)).body.error).toBe('Replay not found')
  })
})

describe('the event of an attempt', () => {
  test('is queued for its webhook, and due at once if it waits', async () => {
    await newEvents(2)
    const { id } = await failed(2, 'delivered', minutes(0))
    const response = await owner.post(`/webhook_attempts/${id}/replay`)
    expect(response).toMatchObject({ status: 202, body: { attempt_replay: { attempt_id: id, position: 2 } } })
    await database.db.exec('postpone', 'update deliveries set due_at = $1', [minutes(9)])
    expect((await owner.post(`/webhook_attempts/${id}/replay`)).status).toBe(202)
    expect(await queue()).toEqual([2])
    expect(await database.db.one('read_due_at', 'select due_at as at from deliveries')).toEqual({ at: start })
  })

  test('is queued for a callback', async () => {
    const position = await newEvents(1, { type: 'transactional_message_status' })
    const { id: endpointId } = await database.db.one<{ id: number }>(
      'callback',
      `insert into endpoints (account_id, origin) values ($1, 'https://hooks.cedar.example') returning id`,
      [owner.accountId],
    )
    const { id } = await failed(position, 'dead', minutes(0))
    await database.db.exec('to_callback', 'update delivery_attempts set endpoint_id = $1', [endpointId])
    expect((await owner.post(`/webhook_attempts/${id}/replay`)).status).toBe(202)
    const rows = await database.db.many('read_callbacks', 'select endpoint_id as id, position from deliveries')
    expect(rows).toEqual([{ id: endpointId, position }])
  })

  test('is rejected if it is deleted, a test, foreign, or its webhook is disabled or deleted', async () => {
    await newEvents(1)
    const { id } = await failed(1, 'dead', minutes(0))
    const replay = (caller = owner) => caller.post(`/webhook_attempts/${id}/replay`)
    expect((await replay(stranger)).body.code).toBe('attempt_not_found')
    await database.db.exec('make_test', 'update delivery_attempts set is_test = true')
    expect((await replay()).status).toBe(422)
    await database.db.exec('make_real', 'update delivery_attempts set is_test = false')
    await database.db.exec('disable_it', `update endpoints set disabled_at = $1, disabled_reason = 'gone'`, [start])
    expect((await replay()).body.code).toBe('webhook_disabled')
    await database.db.exec('enable_it', 'update endpoints set disabled_at = null, disabled_reason = null')
    await database.db.exec('age', 'update events set occurred_at = $1', [minutes(-30 * 24 * 60 + 5)])
    expect(await replay()).toMatchObject({ status: 410, body: { code: 'events_deleted' } })
    await database.db.exec('delete_events', 'delete from events')
    expect((await replay()).status).toBe(410)
    expect(await queue()).toEqual([])
    await owner.delete(`/lists/${listId}/webhooks/${webhookId}`)
    expect((await replay()).body.code).toBe('webhook_not_found')
  })
})
