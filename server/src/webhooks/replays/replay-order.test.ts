import { describe, expect, test } from 'vitest'
import { minutes, phone, start, useReplays } from '../../../test/replay-world.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { type DueDelivery, insertDeliveries, listDueDeliveries } from '../delivery/deliveries.queries.ts'
import { requeueDeliveries } from '../delivery/requeue.queries.ts'
import { recordAttempts } from '../delivery/results.queries.ts'

const waitingForLock = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

const world = useReplays()
const { ask, endpointId, newEvents, queue, work } = world

/** Queues an event at the end, as the sequencer does. */
const addLive = (position: number, { of = phone + position, at = start } = {}) => {
  const { listId, owner } = world
  const event = { position, accountId: owner.accountId, listId, type: 'subscribe' as const, phone: of, occurredAt: at }
  return world.db.tx((tx) => insertDeliveries(tx, [{ ...event, payload: '{}', callbackUrl: null }], at))
}

const due = async ({ limit = 100, maxReplays = 100, except = [] as number[], at = start } = {}) =>
  listDueDeliveries(world.db, await endpointId(), at, except, { limit, maxReplays })

const positionsOf = (deliveries: DueDelivery[]) => deliveries.map(({ position }) => position)

/** Records the result of an attempt that began before. */
async function record(delivery: DueDelivery, outcome: 'delivered' | 'failed' | 'dead', db = world.db) {
  await recordAttempts(db, [
    {
      delivery: { ...delivery, accountId: world.owner.accountId, endpointId: await endpointId() },
      revision: 0,
      ...{ attempt: delivery.attempts + 1, outcome, retryAt: outcome === 'failed' ? minutes(60) : null, pauseMs: 0 },
      ...{ startedAt: start, durationMs: 5, request: { url: null, headers: {} } },
      ...{ status: outcome === 'delivered' ? 200 : 500, error: null, response: null },
    },
  ])
}

const readQueue = () =>
  world.db.many<{ position: number; attempts: number; at: Date }>(
    'read_due_queue',
    'select position, attempts, due_at as at from deliveries order by id',
  )

describe('live events', () => {
  test('are due before replayed ones, which fill the rest of a page', async () => {
    await newEvents(8)
    await ask({ from_position: 1, to_position: 5 })
    await work()
    await addLive(7)
    await addLive(8)
    await addLive(6, { at: minutes(-1) })
    expect(positionsOf(await due())).toEqual([6, 7, 8, 1, 2, 3, 4, 5])
    expect(positionsOf(await due({ limit: 4 }))).toEqual([6, 7, 8, 1])
    expect(positionsOf(await due({ maxReplays: 2 }))).toEqual([6, 7, 8, 1, 2])
  })

  test('wait for replayed ones of their phone, which are due with live ones then', async () => {
    await newEvents(8)
    await ask({ from_position: 1, to_position: 6 })
    await work()
    await addLive(7)
    await addLive(8, { of: phone + 5 })
    const first = await due()
    expect(positionsOf(first)).toEqual([5, 7, 1, 2, 3, 4, 6])
    const replayed = first[0] as DueDelivery
    expect(positionsOf(await due({ except: [replayed.id] }))).toEqual([7, 1, 2, 3, 4, 6])
    await record(replayed, 'delivered')
    expect(positionsOf(await due())).toEqual([7, 8, 1, 2, 3, 4, 6])
  })

  test('of a phone that wait for a retry are not overtaken by its replayed ones', async () => {
    await newEvents(2)
    await world.db.exec('same_phone', 'update events set phone = $1', [phone])
    await addLive(2, { of: phone, at: minutes(5) })
    await ask({ position: 1 })
    await work()
    await world.db.exec('wait_again', 'update deliveries set due_at = $1 where position = 2', [minutes(5)])
    expect(await due()).toEqual([])
    expect(positionsOf(await due({ at: minutes(5) }))).toEqual([2])
  })
})

describe('a replay beside an attempt in flight', () => {
  test.each(['dead', 'failed'] as const)('is made after the attempt is %s, with all attempts', async (outcome) => {
    await newEvents(2)
    await world.db.exec('same_phone', 'update events set phone = $1', [phone])
    for (const position of [1, 2]) await addLive(position, { of: phone })
    await world.db.exec('tried', 'update deliveries set attempts = 10 where position = 1')
    const [inFlight] = await due()
    await ask({ position: 1 })
    await work()
    await record(inFlight as DueDelivery, outcome)
    expect(await readQueue()).toEqual([
      { position: 1, attempts: 0, at: start },
      { position: 2, attempts: 0, at: start },
    ])
    const [again] = await due()
    expect(again).toMatchObject({ position: 1, isAfterDeadLetter: false })
    await record(again as DueDelivery, 'dead')
    expect(await due()).toMatchObject([{ position: 2, isAfterDeadLetter: true }])
  })

  test('is not made again after the attempt succeeds', async () => {
    await newEvents(1)
    await addLive(1)
    const [inFlight] = await due()
    await ask({ position: 1 })
    await work()
    await record(inFlight as DueDelivery, 'delivered')
    expect(await queue()).toEqual([])
  })

  test('waits for the result that is being recorded', async () => {
    await newEvents(1)
    await addLive(1)
    const [inFlight] = await due()
    const endpoint = await endpointId()
    const replay = await world.db.tx(async (tx) => {
      await record(inFlight as DueDelivery, 'dead', tx)
      const replay = world.db.tx((other) => requeueDeliveries(other, endpoint, [1], start))
      await waitFor(async () => (await world.db.exec('waiting', waitingForLock)) === 1)
      return { queued: replay }
    })
    expect(await replay.queued).toBe(1)
    expect(await queue()).toEqual([1])
  })

  test('is applied before the result that waits for it', async () => {
    await newEvents(1)
    await addLive(1)
    const [inFlight] = await due()
    const endpoint = await endpointId()
    const recording = await world.db.tx(async (tx) => {
      await requeueDeliveries(tx, endpoint, [1], start)
      const recording = record(inFlight as DueDelivery, 'dead')
      await waitFor(async () => (await world.db.exec('waiting', waitingForLock)) === 1)
      return { ended: recording }
    })
    await recording.ended
    expect(await readQueue()).toEqual([{ position: 1, attempts: 0, at: start }])
  })

  test.each([
    ['the replay', [1]],
    ['the result', []],
  ])('and its result lock the endpoint first, so that neither is a deadlock: %s', async (which, left) => {
    await newEvents(1)
    await addLive(1)
    const [inFlight] = await due()
    const endpoint = await endpointId()
    const change = await world.db.tx(async (tx) => {
      await tx.exec('lock', 'select from endpoints for update')
      const change =
        which === 'the result'
          ? record(inFlight as DueDelivery, 'dead')
          : world.db.tx((other) => requeueDeliveries(other, endpoint, [1], start))
      await waitFor(async () => (await world.db.exec('waiting', waitingForLock)) === 1)
      expect(await tx.exec('lock_delivery', 'select from deliveries for update nowait')).toBe(1)
      return { ended: change }
    })
    await change.ended
    expect(await queue()).toEqual(left)
  })
})
