import { expect, test } from 'vitest'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { phones, useWebhooks } from '../../test/webhook-world.ts'
import type { Db } from '../db/db.ts'
import { requeueDeliveries } from './delivery/requeue.queries.ts'
import { deleteWebhooksJob } from './webhooks.jobs.ts'
import { changeWebhook, getWebhook, removeWebhook } from './webhooks.ts'

const world = useWebhooks()
const rt = (db: Db = world.db) => makeRuntime({ db, clock: world.clock })

const runJob = (db?: Db, signal = new AbortController().signal) => deleteWebhooksJob.run(rt(db), {}, signal)
const count = (table: string) => world.db.one(`count_${table}`, `select count(*) as n from ${table}`)

async function endpointOf(webhookId: number): Promise<number> {
  const find = 'select id from endpoints where webhook_id = $1'
  return (await world.db.one<{ id: number }>('find_endpoint', find, [webhookId])).id
}

/** Creates a webhook for which this number of events waits. */
async function webhookWithQueue(waiting: number) {
  const list = await world.listWith('http://127.0.0.1:1/')
  const endpointId = await endpointOf(list.webhookId)
  await world.db.exec(
    'fill',
    `insert into deliveries (endpoint_id, position, phone, due_at) select $1, n, n, $3 from generate_series(1, $2) n`,
    [endpointId, waiting, world.clock.time],
  )
  return { list, endpointId, remove: () => removeWebhook(rt(), world.accountId, list.id, list.webhookId) }
}

test('a deleted webhook does not exist at once, and a job deletes its rows in slices, also after a kill', async () => {
  const kept = await webhookWithQueue(3)
  const { list, endpointId, remove } = await webhookWithQueue(12_000)
  await world.db.exec(
    'replay',
    `insert into replays (account_id, endpoint_id, kind, from_position, to_position, after_position, created_at)
     values ($1, $2, 'positions', 1, 1, 0, now())`,
    [world.accountId, endpointId],
  )
  await remove()
  expect(await count('deliveries')).toEqual({ n: 12_003 })
  await expect(getWebhook(world.db, world.accountId, list.id, list.webhookId)).rejects.toThrow('Webhook not found')
  await expect(remove()).rejects.toThrow('Webhook not found')

  const slices: number[] = []
  const stopped = new AbortController()
  const interrupted: Db = {
    ...world.db,
    exec: async (name, statement, params) => {
      const rows = await world.db.exec(name, statement, params)
      slices.push(rows)
      stopped.abort()
      return rows
    },
  }
  await runJob(interrupted, stopped.signal)
  expect(slices).toEqual([5_000])
  expect(await count('deliveries')).toEqual({ n: 7_003 })
  await runJob()
  expect(await count('deliveries')).toEqual({ n: 3 })
  expect(await count('replays')).toEqual({ n: 0 })
  const left = await world.db.many('list_webhooks', 'select id from webhooks')
  expect(left).toEqual([{ id: kept.list.webhookId }])
})

test('two runs of the job at once delete everything', async () => {
  const { remove } = await webhookWithQueue(12_000)
  await remove()
  await Promise.all([runJob(), runJob()])
  expect([await count('deliveries'), await count('webhooks'), await count('endpoints')]).toEqual([
    { n: 0 },
    { n: 0 },
    { n: 0 },
  ])
})

test('a replay that queues during the deletion leaves no row', async () => {
  const { list, endpointId, remove } = await webhookWithQueue(0)
  await world.optIn(list, phones(1))
  await remove()
  await world.db.exec('empty', 'delete from deliveries')
  const slices: number[] = []
  const recording: Db = {
    ...world.db,
    exec: async (name, statement, params) => {
      const rows = await world.db.exec(name, statement, params)
      if (name === 'delete_deliveries_of_endpoint') slices.push(rows)
      return rows
    },
  }
  const job = await world.db.tx(async (tx) => {
    const { position } = await world.db.one<{ position: number }>(
      'last',
      'select max(position) as position from events',
    )
    expect(await requeueDeliveries(tx, endpointId, [position], world.clock.time)).toBe(1)
    const job = runJob(recording)
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await waitFor(async () => (await world.db.exec('waiting', waiting)) === 1)
    return { ended: job }
  })
  await job.ended
  expect([await count('deliveries'), await count('webhooks')]).toEqual([{ n: 0 }, { n: 0 }])
  // not with the webhook, because a replay may queue thousands
  expect(slices).toEqual([0, 1, 0])
})

test('nothing is queued for, and nothing is delivered to, a deleted webhook; its worker loses the lease', async () => {
  const blocked = Promise.withResolvers<void>()
  const receiver = await world.receiverOf(async (res) => {
    await blocked.promise
    res.writeHead(200).end()
  })
  const list = await world.listWith(receiver.url)
  await world.optIn(list, phones(1))
  const dispatcher = world.newDispatcher()
  await dispatcher.round()
  await waitFor(() => receiver.received.length === 1)
  await world.optIn(list, phones(2).slice(1))
  await removeWebhook(rt(), world.accountId, list.id, list.webhookId)
  // as an event that was recorded before
  await world.db.exec('listen', 'update lists set listeners = 31 where id = $1', [list.id])
  await world.optIn(list, phones(3).slice(2))
  expect(await world.pending()).toBe(2)
  blocked.resolve()
  await waitFor(async () => (await world.attemptsOf()).length === 1)
  for (const each of [dispatcher, world.newDispatcher()]) {
    await each.round()
    await each.stop()
  }
  await runJob()
  expect(receiver.received).toHaveLength(1)
  expect(await world.pending()).toBe(0)
})

test('a webhook that its owner disables keeps its events until it is enabled, also after other updates', async () => {
  const receiver = await world.receiverOf()
  const list = await world.listWith(receiver.url)
  const change = (enabled?: boolean) =>
    changeWebhook(rt(), world.accountId, list.id, list.webhookId, { callbackUrl: undefined, events: {}, enabled })
  const dispatcher = world.newDispatcher()
  await world.optIn(list, phones(1))
  expect(await change(false)).toMatchObject({ enabled: false })
  await world.optIn(list, phones(2).slice(1))
  await dispatcher.round()
  expect(await change()).toMatchObject({ enabled: false })
  await dispatcher.round()
  expect(await world.pending()).toBe(2)
  expect(receiver.received).toHaveLength(0)
  expect(await change(true)).toMatchObject({ enabled: true })
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.pending()) === 0
  })
  expect(receiver.received).toHaveLength(2)
})
