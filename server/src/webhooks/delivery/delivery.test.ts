import { describe, expect, test } from 'vitest'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import type { startReceiver, WebhookReceiver } from '../../../test/webhook-receiver.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { feedPositions } from '../../events/positions.ts'
import type { Resolve } from '../../lib/name-resolver.ts'
import { changeWebhook } from '../webhooks.ts'
import { type CustomHeaders, sealHeaders } from './custom-headers.ts'
import { disableFailingJob } from './delivery.jobs.ts'
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

test('a 410 disables the endpoint at once and keeps its events', async () => {
  const receiver = await receiverOf((res) => void res.writeHead(410).end())
  await optIn(await listWith(receiver.url), phones(40))
  await newDispatcher().round()
  const reason = () => world.db.one('read_reason', 'select disabled_reason as reason from endpoints')
  await waitFor(async () => ((await reason()) as { reason: string | null }).reason === 'gone')
  expect(receiver.received).toHaveLength(1)
  expect(await pending()).toBe(40)
})

test('a dead, a slow and a failing endpoint do not delay another', async () => {
  const fast = await receiverOf()
  const dead = await receiverOf(() => {})
  const failing = await receiverOf((res) => void res.writeHead(500).end())
  // slow in comparison: a response takes as long as 40 events to the fast one
  const slow = await receiverOf(async (res) => {
    const until = Math.min(200, fast.received.length + 40)
    await waitFor(() => fast.received.length >= until)
    res.writeHead(204).end()
  })
  for (const { url } of [dead, failing, slow, dead]) await optIn(await listWith(url), phones(50))
  await optIn(await listWith(fast.url), phones(200))
  await newDispatcher().round()
  await waitFor(() => fast.received.length === 200)
  expect(dead.received).toHaveLength(2)
  // it had one request at a time, then two, four, eight and ten
  expect(slow.received.length).toBeLessThanOrEqual(25)
  await waitFor(() => new Set(slow.received.map(phoneOf)).size === 50)
})

describe('endpoints that do not respond', () => {
  const deaf = () => receiverOf(() => {})

  test('get one request each, and leave places to others of their account that respond', async () => {
    const [dead, fast] = [await deaf(), await receiverOf()]
    await optIn(await world.listWithMany(60, dead.url), phones(12))
    await world.db.exec('fail', 'update endpoints set failing_since = $1', [start])
    await optIn(await listWith(fast.url), phones(300))
    const dispatcher = newDispatcher()
    await waitFor(async () => {
      await dispatcher.round()
      return fast.received.length === 300
    })
    expect(dead.received.length).toBeLessThanOrEqual(60)
    expect((await attemptsOf()).filter(({ outcome }) => outcome !== 'delivered')).toEqual([])
  })

  test('of one account do not delay those of another, not even with their first request', async () => {
    const [dead, fast] = [await deaf(), await receiverOf()]
    const hostile = await world.newOwner()
    await optIn(await world.listWithMany(520, dead.url, { owner: hostile }), phones(2))
    await optIn(await listWith(fast.url), phones(300))
    await newDispatcher().round()
    await waitFor(() => fast.received.length === 300)
    expect(dead.received.length).toBeLessThanOrEqual(100)
  })

  test('are released during their pause, which new events and other workers do not end', async () => {
    const broken = await receiverOf((res) => void res.writeHead(500).end())
    const list = await listWith(broken.url)
    await optIn(list, phones(20))
    const dispatcher = newDispatcher()
    await dispatcher.round()
    const leased = () => world.db.one<{ by: string | null }>('read_lease', 'select leased_by as by from endpoints')
    await waitFor(async () => {
      await dispatcher.round()
      return (await leased()).by === null
    })
    const before = broken.received.length
    expect(before).toBeLessThanOrEqual(6)
    const [first = 0] = phones(30).slice(29)
    await optIn(list, [first])
    await newDispatcher().round()
    expect((await leased()).by).toBeNull()
    expect(broken.received).toHaveLength(before)
    clock.time = new Date(start.getTime() + 60_000)
    await dispatcher.round()
    await waitFor(() => broken.received.length > before)
  })
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

test('an endpoint that failed for five days is disabled; a change of the webhook enables it, and its events arrive', async () => {
  let isBroken = true
  const receiver = await receiverOf((res) => void res.writeHead(isBroken ? 500 : 200).end())
  const list = await listWith(receiver.url)
  await optIn(list, phones(1))
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await attemptsOf()).length === 1)
  const day = 86_400_000
  const rt = makeRuntime({ db: world.db, clock })
  const run = () => disableFailingJob.run(rt, {}, new AbortController().signal)
  const reason = async () =>
    (await world.db.one<{ reason: string | null }>('read_reason', 'select disabled_reason as reason from endpoints'))
      .reason
  clock.time = new Date(start.getTime() + 5 * day - 1_000)
  await run()
  expect(await reason()).toBeNull()
  clock.time = new Date(start.getTime() + 5 * day)
  await run()
  // its only attempt was five days ago
  expect(await reason()).toBeNull()
  await dispatcher.round()
  await waitFor(async () => (await attemptsOf()).length === 2)
  await run()
  expect(await reason()).toBe('failing')
  await optIn(list, phones(1))
  await newDispatcher().round()
  expect(receiver.received).toHaveLength(2)
  isBroken = false
  const webhook = await world.db.one<{ id: number }>('find_id', 'select id from webhooks')
  await changeWebhook(rt, world.accountId, list.id, webhook.id, {
    callbackUrl: undefined,
    events: {},
  })
  // the second retry is due after at most 76 s
  clock.time = new Date(clock.time.getTime() + 80_000)
  await waitFor(async () => {
    await dispatcher.round()
    return (await pending()) === 0
  })
  expect(receiver.received).toHaveLength(4)
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
