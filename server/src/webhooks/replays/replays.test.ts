import { describe, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { minutes, phone, start, useReplays } from '../../../test/replay-world.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { type Rotation, takeTurn } from '../../jobs/turns.ts'
import { listDueDeliveries } from '../delivery/deliveries.queries.ts'
import { requeueDeliveries } from '../delivery/requeue.queries.ts'
import { replaysQueue } from './replays.jobs.ts'
import { maxReplayed } from './replays.ts'

const waitingForLock = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

const world = useReplays()
const { ask, clock, endpointId, failed, newEvents, newWebhook, queue, replayOf, work } = world

describe('a replay', () => {
  test('of one event queues it for this webhook only', async () => {
    const other = await newWebhook(world.listId)
    await newEvents(3)
    const response = await ask({ position: 2 })
    expect(response.status).toBe(202)
    expect(response.body.replay).toMatchObject({
      webhook_id: world.webhookId,
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
    const due = await world.db.one('read_due', 'select next_due_at as at from endpoints where webhook_id = $1', [
      world.webhookId,
    ])
    expect(due).toEqual({ at: start })
  })

  test('of a range queues what the webhook receives, in order', async () => {
    const otherList = await make.list(world.db, {
      accountId: world.owner.accountId,
      shortCodeId: world.owner.shortCode.id,
    })
    await newEvents(2)
    await newEvents(1, { type: 'cleaned' })
    await newEvents(1, { list: otherList.id })
    await newEvents(1, { caller: world.stranger })
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
    await world.db.exec('same_phone', 'update events set phone = $1', [phone])
    await world.db.exec(
      'wait',
      `insert into deliveries (endpoint_id, position, phone, attempts, due_at, is_behind)
       select p.id, n, $2, 4 - 2 * n, case when n = 1 then $3::timestamptz else $4 end, n = 2 from endpoints p, generate_series(1, 2) n where p.webhook_id = $1`,
      [world.webhookId, phone, minutes(30), start],
    )
    await failed(1, 'failed', minutes(0))
    clock.time = minutes(1)
    const response = await ask({ failed_since: '2026-03-02T10:00:00Z' })
    await work()
    expect(await queue()).toEqual([1, 2])
    const due = await world.db.many('read_times', 'select attempts, due_at as at from deliveries order by id')
    expect(due).toEqual([
      { attempts: 0, at: minutes(1) },
      // behind the first one
      { attempts: 0, at: start },
    ])
    expect(await replayOf(response)).toMatchObject({ replayed: 1 })
    expect(
      await listDueDeliveries(world.db, await endpointId(), minutes(1), [], { limit: 10, maxReplays: 10 }),
    ).toMatchObject([{ position: 1 }])
  })

  test('queues each event once beside others, which it waits for', async () => {
    await newEvents(2_500)
    await ask({ from_position: 1 })
    const endpoint = await endpointId()
    const other = await world.db.tx(async (tx) => {
      expect(await requeueDeliveries(tx, endpoint, [5, 1_500], start)).toBe(2)
      const turns = work()
      await waitFor(async () => (await world.db.exec('waiting', waitingForLock)) === 1)
      return { turns }
    })
    await other.turns
    const positions = await queue()
    expect(positions.slice(0, 2)).toEqual([5, 1_500])
    expect(positions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2_500 }, (_, n) => n + 1))
    const replays = await world.db.many('read_replays', 'select state, replayed, failures from replays')
    expect(replays).toEqual([{ state: 'done', replayed: 2_498, failures: 0 }])
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
    const list = await make.list(world.db, {
      accountId: world.stranger.accountId,
      shortCodeId: world.stranger.shortCode.id,
    })
    const webhook = await newWebhook(list.id)
    const position = await newEvents(1, { list: list.id, caller: world.stranger })
    await ask({ from_position: 1 })
    await ask({ from_position: 1 })
    await world.stranger.post(`/lists/${list.id}/webhooks/${webhook}/replays`, { replay: { position } })
    let ms = 0
    // each slice lasts as long as a turn
    const rotation: Rotation = { lastAccount: 0, stopwatch: () => (ms += 100) }
    await takeTurn(world.rt, replaysQueue, rotation)
    await takeTurn(world.rt, replaysQueue, rotation)
    expect(await queue(webhook)).toEqual([position])
    expect((await queue()).length).toBeLessThanOrEqual(1_000)
    await work()
  })
})
