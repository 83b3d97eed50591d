import { beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { ensureMode, setSendingPaused } from '../../system/installation.queries.ts'
import { disableFailing } from './endpoints.queries.ts'
import { leaseEndpoints, renewEndpointLeases } from './leases.queries.ts'
import { recordAttempts } from './results.queries.ts'

const world = useWebhooks()

beforeAll(() => ensureMode(world.db, 'production'))

describe('busy endpoints take turns', () => {
  /** Delivers with these limits until the condition is true; time goes on. */
  function deliverer(limits: { endpoints: number; perAccount: number }) {
    const dispatcher = world.newDispatcher({ limits: { ...limits, turnMs: 20 } })
    return (condition: () => boolean) =>
      waitFor(async () => {
        world.clock.time = new Date(world.clock.time.getTime() + 1)
        await dispatcher.round()
        return condition()
      })
  }

  /** Creates lists with a webhook that has more events than it can receive in a turn, and returns their paths. */
  async function busyLists(
    count: number,
    url: string,
    name: string,
    owner?: Awaited<ReturnType<typeof world.newOwner>>,
  ) {
    for (let n = 0; n < count; n++) {
      const list = await world.listWith(`${url}&${name}=${n}`, { callsPerSecond: 5, ...(owner && { owner }) })
      await world.optIn(list, phones(500))
    }
  }

  test('if a worker has no more leases for their account', async () => {
    const receiver = await world.receiverOf()
    const paths = () => new Set(receiver.received.map(({ path }) => path))
    await busyLists(7, receiver.url, 'one')
    await deliverer({ endpoints: 20, perAccount: 2 })(() => paths().size === 7)
  })

  test('if a worker has no more leases, also those of an account behind one with many endpoints', async () => {
    const receiver = await world.receiverOf()
    const paths = () => new Set(receiver.received.map(({ path }) => path.replace(/.*&/, '')))
    await busyLists(8, receiver.url, 'hostile', await world.newOwner())
    await busyLists(1, receiver.url, 'second', await world.newOwner())
    await busyLists(1, receiver.url, 'third', await world.newOwner())
    const deliver = deliverer({ endpoints: 2, perAccount: 2 })
    await deliver(() => paths().has('second=0') && paths().has('third=0'))
    expect(paths().size).toBeLessThan(10)
    await deliver(() => paths().size === 10)
  })
})

test('nothing is leased while sending is paused, as after a restore, and of a disabled account', async () => {
  await world.optIn(await world.listWith('http://127.0.0.1:1/'), phones(1))
  const lease = { holder: '00000000-0000-4000-8000-000000000003', now: start, until: start }
  const count = async () => (await leaseEndpoints(world.db, lease, 10, [])).length
  await setSendingPaused(world.db, true)
  expect(await count()).toBe(0)
  await setSendingPaused(world.db, false)
  await world.db.exec('disable', 'update accounts set disabled_at = $1', [start])
  expect(await count()).toBe(0)
  await world.db.exec('enable', 'update accounts set disabled_at = null')
  expect(await count()).toBe(1)
})

test('leases are not renewed while sending is paused, and those of a disabled account', async () => {
  const lease = {
    holder: '00000000-0000-4000-8000-000000000002',
    now: start,
    until: new Date(start.getTime() + 10_000),
  }
  for (const owner of [await world.newOwner(), await world.newOwner()]) {
    await world.optIn(await world.listWith('http://127.0.0.1:1/', { owner }), phones(1))
  }
  const leased = await leaseEndpoints(world.db, lease, 10, [])
  expect(leased).toHaveLength(2)
  const [{ accountId, id } = { accountId: 0, id: 0 }] = leased
  await world.db.exec('disable_one', 'update accounts set disabled_at = $2 where id = $1', [accountId, start])
  const ids = leased.map((each) => each.id)
  const renew = async () => (await renewEndpointLeases(world.db, lease, ids)).map((each) => each.id)
  expect(await renew()).toEqual(ids.filter((each) => each !== id))
  await setSendingPaused(world.db, true)
  expect(await renew()).toEqual([])
  await setSendingPaused(world.db, false)
})

describe('endpoints are locked in the order of their ids', () => {
  const holder = '00000000-0000-4000-8000-000000000001'

  /** Returns two endpoints, of which the one with the lower id is stored behind the other one. */
  async function twoEndpoints(): Promise<[number, number]> {
    await world.optIn(await world.listWith('http://127.0.0.1/a'), phones(1))
    await world.optIn(await world.listWith('http://127.0.0.1/b'), phones(1))
    const now = world.clock.time
    await leaseEndpoints(world.db, { holder, now, until: new Date(now.getTime() + 60_000) }, 2, [])
    const ids = await world.db.many<{ id: number }>('read_ids', 'select id from endpoints order by id')
    const [low = 0, high = 0] = ids.map(({ id }) => id)
    await world.db.exec('move', 'update endpoints set calls_per_second = 7 where id = $1', [low])
    return [low, high]
  }

  const attempt = (endpointId: number) => ({
    delivery: {
      id: 0,
      position: 1,
      type: 'subscribe',
      phone: 1,
      isTest: false,
      round: 0,
      accountId: world.accountId,
      endpointId,
    },
    ...{ revision: 0, attempt: 1, outcome: 'failed' as const, retryAt: start, pauseMs: 0, startedAt: start },
    ...{ durationMs: 5, request: { url: null, headers: {} }, status: null, error: 'timeout', response: null },
  })

  const makeFailing = (ids: number[]) => recordAttempts(world.db, ids.map(attempt))

  test.each<[string, (low: number, high: number) => Promise<unknown>]>([
    [
      'by a renewal',
      (low, high) => {
        const lease = { holder, now: start, until: new Date(start.getTime() + 90_000) }
        return renewEndpointLeases(world.db, lease, [high, low])
      },
    ],
    ['when attempts are recorded', (low, high) => makeFailing([high, low])],
    ['when failing ones are disabled', () => disableFailing(world.db, start, start)],
  ])('%s', async (when, lock) => {
    const [low, high] = await twoEndpoints()
    if (when.startsWith('when failing')) await makeFailing([high, low])
    await world.db
      .tx(async (tx) => {
        await tx.exec('lock_low', 'select from endpoints where id = $1 for update', [low])
        const locked = lock(low, high)
        const blocked = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
        await waitFor(async () => (await world.db.exec('blocked', blocked)) === 1)
        // not locked yet by the transaction that waits for the lower one
        expect(await tx.exec('lock_high', 'select from endpoints where id = $1 for update nowait', [high])).toBe(1)
        return { locked }
      })
      .then(({ locked }) => locked)
  })
})
