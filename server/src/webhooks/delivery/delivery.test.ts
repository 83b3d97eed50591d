import { describe, expect, test } from 'vitest'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import type { startReceiver, WebhookReceiver } from '../../../test/webhook-receiver.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { feedPositions } from '../../events/positions.ts'
import type { Resolve } from '../../lib/name-resolver.ts'
import { changeWebhook } from '../webhooks.ts'
import { type CustomHeaders, sealHeaders } from './custom-headers.ts'
import { deleteAttempts, deleteDeliveries } from './retention.queries.ts'

const world = useWebhooks()
const { attemptsOf, clock, listWith, newDispatcher, optIn, pending, receiverOf, sealer } = world

const phoneOf = ({ body }: WebhookReceiver['received'][number]) => body.phone_number

test('each event arrives once, over at most ten connections that are reused', async () => {
  const receiver = await receiverOf()
  await optIn(await listWith(receiver.url), phones(300))
  await newDispatcher().round()
  await waitFor(async () => (await pending()) === 0)
  expect(new Set(receiver.received.map(phoneOf)).size).toBe(300)
  expect(receiver.received).toHaveLength(300)
  expect(receiver.connections).toBeLessThanOrEqual(10)
  expect(receiver.maxConcurrent).toBeLessThanOrEqual(10)
  expect(receiver.received[0]?.headers).toMatchObject({
    'content-type': 'application/json',
    'user-agent': 'Carillon/test',
  })
  const attempts = await attemptsOf()
  expect(attempts).toHaveLength(300)
  expect(attempts.every(({ outcome, status }) => outcome === 'delivered' && status === 204)).toBe(true)
})

test('deliveries have the headers of the webhook, which do not replace others', async () => {
  const receiver = await receiverOf()
  const headers: CustomHeaders = [
    ['Authorization', 'Bearer swordfish'],
    ['Content-Type', 'text/plain'],
    ['webhook-id', 'forged'],
  ]
  const settings = { headers: sealHeaders(sealer, headers) }
  await optIn(await listWith(receiver.url, settings), phones(1))
  await newDispatcher().round()
  await waitFor(async () => (await pending()) === 0)
  expect(receiver.received[0]?.headers).toMatchObject({
    authorization: 'Bearer swordfish',
    'content-type': 'application/json',
    'webhook-id': expect.stringMatching(/^evt_/),
  })
  const log = await world.db.many('read_log', 'select request_headers::text as headers from delivery_attempts')
  expect(JSON.stringify(log)).not.toContain('swordfish')
})

test('an event that is queued during a change of the webhook is due', async () => {
  const receiver = await receiverOf()
  const list = await listWith(receiver.url)
  const webhook = await world.db.one<{ id: number }>('find_id', 'select id from webhooks')
  await world.db.exec('pause', 'update endpoints set paused_until = $1', [new Date(clock.time.getTime() + 60_000)])
  const rt = makeRuntime({ db: world.db, clock })
  const change = await world.db.tx(async (tx) => {
    // as a fan-out does
    await tx.exec('lock', 'select from endpoints for update')
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    const change = changeWebhook(rt, world.accountId, list.id, webhook.id, { callbackUrl: undefined, events: {} })
    await waitFor(async () => (await world.db.exec('waiting', waiting)) === 1)
    await tx.exec(
      'queue',
      `with next as (update event_sequence set last_position = last_position + 1 returning last_position as position),
            e as (insert into events (position, account_id, type, occurred_at, payload)
                  select position, $1, 'subscribe', $2, '{}' from next),
            d as (insert into deliveries (endpoint_id, position, due_at) select e.id, position, $2 from endpoints e, next)
       update endpoints set next_due_at = $2`,
      [world.accountId, clock.time],
    )
    return { ended: change }
  })
  await change.ended
  const { due } = await world.db.one<{ due: Date | null }>('read_due', 'select next_due_at as due from endpoints')
  expect(due).toEqual(clock.time)
})

test('an endpoint with a rate gets no more calls than that, and does not delay another', async () => {
  const slow = await receiverOf()
  const fast = await receiverOf()
  await optIn(await listWith(slow.url, { callsPerSecond: 20 }), phones(21))
  await optIn(await listWith(fast.url), phones(100))
  const began = performance.now()
  await newDispatcher().round()
  await waitFor(() => fast.received.length === 100)
  await waitFor(() => slow.received.length === 21)
  expect(performance.now() - began).toBeGreaterThan(950)
})

describe('an event that is not received', () => {
  test.each<[string, Parameters<typeof startReceiver>[0], object]>([
    ['status 500', (res) => void res.writeHead(500).end('no'), { status: 500, error: null }],
    ['a redirect', (res) => void res.writeHead(302, { location: '/' }).end(), { status: 302, error: null }],
    ['a closed connection', (res) => void res.socket?.destroy(), { status: null, error: 'closed' }],
    ['70,000 bytes', (res) => void res.end('x'.repeat(70_000)), { status: null, error: 'too_large' }],
  ])('%s: is sent again when its retry is due', async (_name, respond, failure) => {
    const receiver = await receiverOf((res, event, n) =>
      n === 1 ? respond?.(res, event, n) : void res.writeHead(200).end(),
    )
    await optIn(await listWith(receiver.url), phones(1))
    const dispatcher = newDispatcher()
    await dispatcher.round()
    await waitFor(async () => (await attemptsOf()).length === 1)
    await dispatcher.round()
    expect(receiver.received).toHaveLength(1)
    clock.time = new Date(start.getTime() + 45_000)
    await waitFor(async () => {
      await dispatcher.round()
      return (await pending()) === 0
    })
    expect(await attemptsOf()).toMatchObject([
      { attempt: 1, outcome: 'failed', ...failure },
      { attempt: 2, outcome: 'delivered', status: 200 },
    ])
    expect(receiver.received[1]?.raw).toBe(receiver.received[0]?.raw)
  })

  test.each<[string, Resolve]>([
    ['unresolved', () => Promise.reject(new Error('ENOTFOUND'))],
    ['forbidden_address', async () => [{ address: '10.0.0.7', family: 4 }]],
  ])('because its name is %s: is reported and sent again', async (error, resolve) => {
    await optIn(await listWith('https://hooks.example/'), phones(1))
    await newDispatcher({ resolve }).round()
    await waitFor(async () => (await attemptsOf()).length === 1)
    expect(await attemptsOf()).toEqual([{ attempt: 1, outcome: 'failed', status: null, error }])
    expect(await pending()).toBe(1)
  })

  test('is given up after eleven attempts, and later ones of the phone are marked', async () => {
    const receiver = await receiverOf((res) => void res.writeHead(500).end())
    const list = await listWith(receiver.url)
    await optIn(list, phones(1))
    await optIn(list, phones(1))
    const dispatcher = newDispatcher()
    for (let n = 1; n <= 11; n++) {
      await waitFor(async () => {
        await dispatcher.round()
        return (await attemptsOf()).length === n
      })
      clock.time = new Date(clock.time.getTime() + 3 * 3_600_000)
    }
    const outcomes = (await attemptsOf()).map(({ outcome }) => outcome)
    expect(outcomes).toEqual([...Array.from({ length: 10 }, () => 'failed'), 'dead'])
    const rest = await world.db.many(
      'read_rest',
      `select attempts, is_behind as behind, phone in (select phone from dead_letters) as marked from deliveries`,
    )
    expect(rest).toEqual([{ attempts: 0, behind: false, marked: true }])
  })
})

test('events of one phone arrive in order, and wait for a retry; others do not', async () => {
  const [first = 0, second = 0] = phones(2)
  const receiver = await receiverOf((res, _event, n) => void res.writeHead(n === 1 ? 500 : 200).end())
  const list = await listWith(receiver.url)
  await optIn(list, [first])
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await attemptsOf()).length === 1)
  await optIn(list, [first, second, first])
  await dispatcher.round()
  await waitFor(() => receiver.received.length === 2)
  expect(receiver.received.map(phoneOf)).toEqual([String(first), String(second)])
  clock.time = new Date(start.getTime() + 45_000)
  await waitFor(async () => {
    await dispatcher.round()
    return (await pending()) === 0
  })
  const ids = receiver.received
    .filter((event) => phoneOf(event) === String(first))
    .map(({ body }) => body.opt_id as number)
  expect(ids).toHaveLength(4)
  expect(ids).toEqual(ids.toSorted((a, b) => a - b))
})

test('a change of the webhook ends a pause of its endpoint', async () => {
  const receiver = await receiverOf((res, _event, n) =>
    n === 1 ? void res.writeHead(503, { 'retry-after': '3600' }).end() : void res.writeHead(204).end(),
  )
  const list = await listWith(receiver.url)
  await optIn(list, phones(3))
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => {
    await dispatcher.round()
    const { until } = await world.db.one<{ until: Date | null }>(
      'read_pause',
      'select paused_until as until from endpoints where leased_by is null',
    )
    return until !== null
  })
  expect(receiver.received).toHaveLength(1)
  const rt = makeRuntime({ db: world.db, clock })
  await changeWebhook(rt, world.accountId, list.id, list.webhookId, { callbackUrl: undefined, events: {} })
  await waitFor(async () => {
    await dispatcher.round()
    return (await pending()) === 1
  })
  expect(receiver.received).toHaveLength(3)
})

test('two workers share endpoints; if one dies, the other one continues when the lease has expired', async () => {
  const receiver = await receiverOf((res, _event, n) => (n > 1 ? void res.writeHead(204).end() : undefined))
  await optIn(await listWith(receiver.url), phones(20))
  const [first, second] = [newDispatcher(), newDispatcher()]
  await first.round()
  await waitFor(() => receiver.received.length === 1)
  await second.round()
  clock.time = new Date(start.getTime() + 11_000)
  await second.round()
  await waitFor(() => new Set(receiver.received.map(phoneOf)).size === 20)
})

test('deliveries and attempts are deleted when the events are old', async () => {
  const receiver = await receiverOf((res) => void res.writeHead(500).end())
  const list = await listWith(receiver.url)
  await optIn(list, phones(3))
  await newDispatcher().round()
  await waitFor(async () => (await attemptsOf()).length === 3)
  const later = new Date(start.getTime() + 1)
  expect(await deleteDeliveries(world.db, feedPositions, start, 10)).toBe(0)
  expect(await deleteAttempts(world.db, start, 10)).toBe(0)
  expect(await deleteDeliveries(world.db, feedPositions, later, 2)).toBe(2)
  expect(await deleteDeliveries(world.db, feedPositions, later, 2)).toBe(1)
  expect(await deleteAttempts(world.db, later, 10)).toBe(3)
  expect(await pending()).toBe(0)
})
