import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { Webhook } from 'standardwebhooks'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { startReceiver, type WebhookReceiver } from '../../../test/webhook-receiver.ts'
import { numberEvents } from '../../events/sequence.ts'
import { loopbackRanges } from '../../lib/address-ranges.ts'
import { makeGuardedFetch } from '../../lib/guarded-fetch.ts'
import { Sealer } from '../../lib/seal.ts'
import { sendCallbackTest } from '../test-events.ts'
import { maxCallbackHosts } from './callback-endpoints.queries.ts'
import { insertDeliveries } from './deliveries.queries.ts'
import { deleteDeliveriesJob, disableFailingJob } from './delivery.jobs.ts'
import { WebhookDispatcher } from './dispatcher.ts'
import { sealWebhookSecret } from './secrets.ts'
import { formatSecret } from './signature.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const sealer = new Sealer(randomBytes(32))

let database: TestDatabase
let accountId: number
const opened: { close(): void }[] = []
const dispatchers: WebhookDispatcher[] = []

beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())
beforeEach(async () => {
  clock.time = start
  accountId = (await make.account(database.db)).id
})
afterEach(async () => {
  for (const dispatcher of dispatchers.splice(0)) await dispatcher.stop()
  for (const server of opened.splice(0)) server.close()
  await database.db.exec('forget', 'truncate event_outbox, deliveries, delivery_attempts, endpoints cascade')
})

async function receiverOf(...args: Parameters<typeof startReceiver>): Promise<WebhookReceiver> {
  const receiver = await startReceiver(...args)
  opened.push(receiver)
  return receiver
}

function newDispatcher(): WebhookDispatcher {
  const fetch = makeGuardedFetch({ allowed: loopbackRanges })
  const log = pino({ level: 'silent' })
  const dispatcher = new WebhookDispatcher(
    { db: database.db, clock, log },
    { fetch, clock, userAgent: 'Carillon/test', sealer, timeoutMs: 60_000 },
  )
  dispatchers.push(dispatcher)
  return dispatcher
}

/** Reports a result to this URL and numbers the event. */
async function report(url: string, { status = 'delivered', phone = 2_065_550_100 } = {}) {
  await database.db.exec(
    'report',
    `insert into event_outbox (account_id, type, phone, occurred_at, callback_url, time_zone, facts)
     values ($1, 'transactional_message_status', $2, $3, $4, 'America/Los_Angeles', jsonb_build_object('messageId', 7, 'status', $5::text))`,
    [accountId, phone, clock.time, url, status],
  )
  await numberEvents(database.db, (tx, events) => insertDeliveries(tx, events, clock.time))
}

const count = async (table: string) =>
  (await database.db.one<{ n: number }>(`count_${table}`, `select count(*) as n from ${table}`)).n

test('each callback arrives at its own URL, and those of one phone and host in their order', async () => {
  const receiver = await receiverOf((res, _event, n) => void res.writeHead(n === 1 ? 500 : 200).end())
  const url = receiver.url.replace(/\/in.*/, '')
  await report(`${url}/a?order=1`, { status: 'pending' })
  await report(`${url}/b?order=2`)
  await report(`${url}/c`, { phone: 2_065_550_101 })
  expect(await count('endpoints')).toBe(1)
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await count('delivery_attempts')) === 2)
  clock.time = new Date(start.getTime() + 45_000)
  await waitFor(async () => {
    await dispatcher.round()
    return (await count('deliveries')) === 0
  })
  const received = receiver.received.map(({ path, body }) => `${path} ${body.status}`)
  expect(received.filter((line) => line.startsWith('/c'))).toHaveLength(1)
  expect(received.filter((line) => !line.startsWith('/c'))).toEqual([
    '/a?order=1 pending',
    '/a?order=1 pending',
    '/b?order=2 delivered',
  ])
})

test('a callback is signed once the account has a secret', async () => {
  const receiver = await receiverOf()
  await report(receiver.url)
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await count('deliveries')) === 0)
  expect(receiver.received[0]?.headers['webhook-signature']).toBeUndefined()
  expect(receiver.received[0]?.headers['webhook-id']).toMatch(/^evt_\d+$/)
  await dispatcher.stop()
  const secret = formatSecret(randomBytes(32))
  await database.db.exec('secret', 'insert into callback_secrets (account_id, secret) values ($1, $2)', [
    accountId,
    sealWebhookSecret(sealer, secret),
  ])
  clock.time = new Date()
  await report(receiver.url)
  await newDispatcher().round()
  await waitFor(async () => (await count('deliveries')) === 0)
  const [, signed] = receiver.received
  expect(new Webhook(secret).verify(signed?.raw ?? '', signed?.headers as Record<string, string>)).toEqual(signed?.body)
})

test('a 410 ends the callback, and others of the host are sent', async () => {
  const receiver = await receiverOf((res, { body }) => void res.writeHead(body.status === 'bounced' ? 410 : 200).end())
  await report(receiver.url, { status: 'bounced' })
  await report(receiver.url, { status: 'delivered' })
  const dispatcher = newDispatcher()
  await waitFor(async () => {
    await dispatcher.round()
    return (await count('deliveries')) === 0
  })
  const attempts = await database.db.many('attempts', 'select outcome, status from delivery_attempts order by id')
  expect(attempts).toEqual([
    { outcome: 'dead', status: 410 },
    { outcome: 'delivered', status: 200 },
  ])
})

test('a host that fails for days is not disabled, and is forgotten when nothing of it is left', async () => {
  const receiver = await receiverOf((res) => void res.writeHead(500).end())
  await report(receiver.url)
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await count('delivery_attempts')) === 1)
  await dispatcher.stop()
  const rt = makeRuntime({ db: database.db, clock })
  const { signal } = new AbortController()
  clock.time = new Date(start.getTime() + 6 * 86_400_000)
  await disableFailingJob.run(rt, {}, signal)
  const disabled = 'select from endpoints where disabled_at is not null'
  expect(await database.db.many('disabled', disabled)).toEqual([])
  await deleteDeliveriesJob.run(rt, {}, signal)
  expect(await count('endpoints')).toBe(1)
  clock.time = new Date(start.getTime() + 31 * 86_400_000)
  await deleteDeliveriesJob.run(rt, {}, signal)
  expect([await count('deliveries'), await count('delivery_attempts'), await count('endpoints')]).toEqual([0, 0, 0])
})

test('two accounts share no endpoint', async () => {
  const receiver = await receiverOf()
  await report(receiver.url)
  accountId = (await make.account(database.db)).id
  await report(receiver.url)
  expect(await count('endpoints')).toBe(2)
})

test('hosts beyond a maximum share one endpoint, as long as it exists, and no event of theirs overtakes another', async () => {
  const { db } = database
  const other = accountId
  accountId = (await make.account(db)).id
  await db.exec(
    'fill_hosts',
    `insert into endpoints (account_id, origin) select $1, 'https://host' || n || '.example' from generate_series(1, $2) n`,
    [accountId, maxCallbackHosts - 1],
  )
  const receivers = [await receiverOf(), await receiverOf(), await receiverOf()]
  const [own, ...further] = receivers.map(({ url }) => url)
  const origins = async () =>
    (
      await db.many<{ origin: string }>(
        'origins',
        `select e.origin from deliveries d join endpoints e on e.id = d.endpoint_id where e.account_id = $1 order by d.id`,
        [accountId],
      )
    ).map(({ origin }) => origin)
  const originOf = (url = '') => new URL(url).origin
  for (const url of [own, ...further, own, 'https://host1.example/']) await report(url ?? '')
  expect(await origins()).toEqual([originOf(own), 'others', 'others', originOf(own), 'https://host1.example'])
  const free = `delete from endpoints where account_id = $1 and origin in ('https://host2.example', 'https://host3.example')`
  await db.exec('free', free, [accountId])
  await report(further[0] ?? '')
  expect((await origins()).at(-1)).toBe('others')
  const dispatcher = newDispatcher()
  await waitFor(async () => {
    await dispatcher.round()
    return receivers.every(({ received }) => received.length > 0) && (await origins()).length === 1
  })
  expect(receivers.map(({ received }) => received.length)).toEqual([2, 2, 1])
  await dispatcher.stop()

  // when nothing of it is left
  clock.time = new Date(start.getTime() + 31 * 86_400_000)
  await deleteDeliveriesJob.run(makeRuntime({ db, clock }), {}, new AbortController().signal)
  await report(further[0] ?? '')
  expect(await origins()).toEqual([originOf(further[0])])
  accountId = other
  await report(further[0] ?? '')
  expect(await origins()).toEqual([originOf(further[0])])
})

test('a batch of callbacks to many hosts inserts no more endpoints than the maximum and the shared one', async () => {
  const { db } = database
  const known = 300
  await db.exec(
    'fill_known',
    `insert into endpoints (account_id, origin) select $1, 'https://known' || n || '.example' from generate_series(1, $2::int) n`,
    [accountId, known],
  )
  await db.exec(
    'report_many',
    `insert into event_outbox (account_id, type, phone, occurred_at, callback_url, time_zone, facts)
     select $1, 'transactional_message_status', 2065550100 + n, $2, 'https://host' || n || '.example/', 'UTC',
            '{"messageId":7,"status":"delivered"}' from generate_series(1, $3::int) n`,
    [accountId, start, maxCallbackHosts],
  )
  const { count: numbered } = await numberEvents(db, (tx, events) => insertDeliveries(tx, events, clock.time))
  expect(numbered).toBe(maxCallbackHosts)
  expect(await count('endpoints')).toBe(maxCallbackHosts + 1)
  const shared = await db.one(
    'shared',
    `select count(*) as n from deliveries d join endpoints e on e.id = d.endpoint_id where origin = 'others'`,
  )
  expect(shared).toEqual({ n: known })
})

test('a test of a callback is signed, made once at its URL, and in the log, and delays no callback of its host', async () => {
  const receiver = await receiverOf((res, { body }) => void res.writeHead(body.is_test ? 500 : 200).end())
  const secret = formatSecret(randomBytes(32))
  await database.db.exec('secret', 'insert into callback_secrets (account_id, secret) values ($1, $2)', [
    accountId,
    sealWebhookSecret(sealer, secret),
  ])
  clock.time = new Date()
  const rt = makeRuntime({ db: database.db, clock })
  const test = { type: 'transactional_message_reply', url: `${receiver.url}?test=1` } as const
  const positions: number[] = []
  for (let n = 0; n < 6; n++) positions.push(await sendCallbackTest(rt, { accountId, timeZone: 'UTC' }, test))
  await report(receiver.url)
  const dispatcher = newDispatcher()
  await waitFor(async () => {
    await dispatcher.round()
    return (await count('delivery_attempts')) >= 6
  })
  const [signed] = receiver.received.filter(({ body }) => body.is_test)
  expect(signed?.path).toMatch(/\?test=1$/)
  expect(new Webhook(secret).verify(signed?.raw ?? '', signed?.headers as Record<string, string>)).toEqual(signed?.body)
  const attempts = await database.db.many<{ position: number }>(
    'attempts_of_tests',
    'select position, is_test, outcome, attempt from delivery_attempts order by id',
  )
  expect(attempts).toContainEqual({ position: positions[0], is_test: true, outcome: 'dead', attempt: 1 })
  // the tests are paused after five failures, and the callback of the host is not
  expect(attempts.find(({ position }) => !positions.includes(position))).toMatchObject({ outcome: 'delivered' })
  expect(receiver.received.filter(({ body }) => !body.is_test)).toHaveLength(1)
})
