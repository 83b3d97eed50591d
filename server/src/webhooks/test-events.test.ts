import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { callbackTypes, listEventTypes } from '../events/event-types.ts'
import { deleteEventsJob } from '../events/events.jobs.ts'
import { becomeSequencer } from '../events/events.queries.ts'
import { numberEvents } from '../events/sequence.ts'
import type { Job } from '../jobs/jobs.ts'
import { deleteIdleCallbackEndpoints, lockTestEndpoint } from './delivery/callback-endpoints.queries.ts'
import { insertDeliveries, listDueDeliveries } from './delivery/deliveries.queries.ts'
import { deleteDeliveriesJob } from './delivery/delivery.jobs.ts'
import { maxTestsPerMinute, sendCallbackTest, sendTestEvent, type TestedWebhook } from './test-events.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

afterEach(() => {
  clock.time = start
})

async function newWebhook() {
  const list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  const webhook = await make.webhook(api.db, { listId: list.id })
  const { id } = await api.db.one<{ id: number }>('find_id', 'select id from endpoints where webhook_id = $1', [
    webhook.id,
  ])
  return { list, path: `/lists/${list.id}/webhooks/${webhook.id}`, endpointId: id }
}

const callbackUrl = 'https://shop.example/sms?order=7'
const testCallback = (fields: object = {}, caller = api.owner) =>
  caller.post('/callback_test_events', {
    callback_test_event: { type: 'transactional_message_status', webhook_callback_url: callbackUrl, ...fields },
  })

test.each(listEventTypes)(
  'a test event %s is delivered to one webhook only, marked, and is not in the feed',
  async (type) => {
    const { list, path, endpointId } = await newWebhook()
    await api.owner.put('/event_feed', { event_feed: { enabled: true } })
    await make.webhook(api.db, { listId: list.id })
    const response = await api.owner.post(`${path}/test_events`, { test_event: { type } })
    expect(response.status).toBe(202)
    const { position } = response.body.test_event as { position: number }
    expect(response.body.test_event).toEqual({ type, position: expect.any(Number) })
    const [due, ...others] = await listDueDeliveries(api.db, endpointId, start, [], { limit: 10, maxReplays: 10 })
    expect(others).toEqual([])
    expect(due).toMatchObject({ position, type, isTest: true })
    const payload = JSON.parse(due?.payload ?? '') as Record<string, unknown>
    expect(payload).toMatchObject({ type, campaign_id: list.id, is_test: true })
    if (type !== 'message_sent') expect(payload).toMatchObject({ phone_number: '2065550100' })
    expect(await api.db.one('count_deliveries', 'select count(*) as n from deliveries')).toEqual({ n: 1 })
    expect((await api.owner.get('/events')).body).toMatchObject({ events: [] })
    const replay = await api.owner.post(`${path}/replays`, { replay: { position } })
    expect(replay.status).toBe(422)
  },
)

test('a preview has the keys of a real event in their order, with the custom fields of the list', async () => {
  const list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  const field = { label: 'Year', key: '2026', content_type: 'text', max_length: 9 }
  await api.owner.post(`/lists/${list.id}/custom_fields`, { custom_field: field })
  const webhook = { callback_url: 'https://hooks.cedar.example/', subscribe: true }
  const created = await api.owner.post(`/lists/${list.id}/webhooks`, { webhook })
  const { id } = created.body.webhook as { id: number }
  await api.owner.post(`/lists/${list.id}/subscribers`, {
    subscriber: { phone_number: '2065550143', bypass_opt_in_process: true },
  })
  await api.db.exec('commit', 'set constraints all immediate')
  await numberEvents(api.db, (tx, events) => insertDeliveries(tx, events, start))
  const real = await api.db.one<{ payload: string }>('read_payload', 'select payload::text as payload from events')
  const preview = await api.owner.get(`/lists/${list.id}/webhooks/${id}/preview?type=subscribe`)
  const keysOf = (json: string) => [...json.matchAll(/"(\w+)":/g)].map(([, key]) => key)
  expect(keysOf(preview.text).slice(4)).toEqual(keysOf(real.payload))
  expect(preview.text).toMatch(/"2026":(null|"")\}/)
  expect(await api.db.one('count_deliveries', 'select count(*) as n from deliveries')).toEqual({ n: 1 })
})

test('tests and previews reject unknown types, disabled webhooks and strangers', async () => {
  const { path, endpointId } = await newWebhook()
  const body = { test_event: { type: 'subscribe' } }
  for (const type of ['webhook_disabled', 'transactional_message_reply', '']) {
    expect((await api.owner.post(`${path}/test_events`, { test_event: { type } })).status).toBe(422)
    expect((await api.owner.get(`${path}/preview?type=${type}x`)).status).toBe(422)
  }
  expect((await api.stranger.post(`${path}/test_events`, body)).status).toBe(404)
  expect((await api.stranger.get(`${path}/preview`)).status).toBe(404)
  await api.db.exec('disable', `update endpoints set disabled_at = now(), disabled_reason = 'gone' where id = $1`, [
    endpointId,
  ])
  expect((await api.owner.post(`${path}/test_events`, body)).body.code).toBe('webhook_disabled')
  expect((await api.owner.get(`${path}/preview`)).status).toBe(200)
  expect(await api.db.one('count_tests', 'select count(*) as n from events')).toEqual({ n: 0 })
})

test('an account sends at most 30 test events of webhooks and callbacks in a minute', async () => {
  const { path } = await newWebhook()
  const send = () => api.owner.post(`${path}/test_events`, { test_event: { type: 'subscribe' } })
  for (let n = 0; n < 20; n++) expect((await send()).status).toBe(202)
  for (let n = 0; n < 10; n++) expect((await testCallback()).status).toBe(202)
  expect((await testCallback()).body.code).toBe('too_many_test_events')
  const rejected = await send()
  expect(rejected.body.code).toBe('too_many_test_events')
  expect(rejected.headers['retry-after']).toBe('60')
  clock.time = new Date(start.getTime() + 60_000)
  expect((await send()).status).toBe(202)
})

test.each(callbackTypes)('a test event %s is queued for its URL, marked, and is not in the feed', async (type) => {
  await api.owner.put('/event_feed', { event_feed: { enabled: true } })
  const response = await testCallback({ type })
  expect(response.status).toBe(202)
  const { position } = response.body.callback_test_event as { position: number }
  expect(response.body.callback_test_event).toEqual({ type, position: expect.any(Number) })
  const endpoints = await api.db.many<{ id: number }>('list_endpoints', 'select id from endpoints')
  expect(endpoints).toHaveLength(1)
  const due = await listDueDeliveries(api.db, endpoints[0]?.id ?? 0, start, [], { limit: 10, maxReplays: 10 })
  expect(due).toMatchObject([{ position, type, isTest: true, callbackUrl }])
  expect(JSON.parse(due[0]?.payload ?? '')).toMatchObject({ type, phone_number: '2065550100', is_test: true })
  expect((await api.owner.get('/events')).body).toMatchObject({ events: [] })
})

test('a test event momt_report has the keys of a report in their order, its URL, and no file', async () => {
  const response = await testCallback({ type: 'momt_report' })
  expect(response.status).toBe(202)
  const { payload } = await api.db.one<{ payload: string }>('payload', 'select payload::text as payload from events')
  const period = { date_from: '2026-02-01T00:00:00Z', date_to: '2026-02-28T00:00:00Z' }
  const real = await api.owner.post('/momt_reports', { ...period, webhook_callback_url: callbackUrl })
  const { status, momt_report: report, is_test: isTest } = JSON.parse(payload)
  expect(payload).toMatch(/^\{"status":"OK","momt_report":\{"id":0,.*\},"is_test":true\}$/)
  expect([status, isTest]).toEqual(['OK', true])
  expect(Object.keys(report)).toEqual(Object.keys(real.body.momt_report as object))
  expect(report).toMatchObject({
    ...{
      account_id: api.owner.accountId,
      s3_url: null,
      total_rows: 100,
      percent_complete: 100,
      mo_count: 3,
      mt_count: 97,
    },
    ...{ date_to: '2026-03-02T10:00:00Z', import_completed_at: '2026-03-02T02:00:00-08:00', counts_calculated: true },
    ...{ webhook_callback_url: callbackUrl, run_errors: null, cancelled: null },
  })
  const { path } = await newWebhook()
  const preview = await api.owner.get(`${path}/preview?type=momt_report`)
  const previewed = payload.replace(',"is_test":true}', '}').replace(JSON.stringify(callbackUrl), 'null')
  expect(preview.text).toBe(`{"status":"OK","preview":{"type":"momt_report","payload":${previewed}}}`)
})

test.each([
  [{ type: 'subscribe' }, 'callback_test_event.type'],
  [{ type: undefined }, 'callback_test_event.type'],
  [{ webhook_callback_url: undefined }, 'callback_test_event.webhook_callback_url'],
  [{ webhook_callback_url: 'file:///etc/passwd' }, 'callback_test_event.webhook_callback_url'],
  [{ webhook_callback_url: 'http://10.0.0.7/' }, 'callback_test_event.webhook_callback_url'],
  [{ webhook_callback_url: 'https://a:b@shop.example/' }, 'callback_test_event.webhook_callback_url'],
  [{ webhook_callback_url: `https://shop.example/${'a'.repeat(2_978)}` }, 'callback_test_event.webhook_callback_url'],
])('a test of a callback with %j is a 422', async (fields, key) => {
  const response = await testCallback(fields)
  expect(response).toMatchObject({ status: 422, body: { details: { [key]: [expect.any(String)] } } })
  expect(await api.db.one('count_tests', 'select count(*) as n from events')).toEqual({ n: 0 })
})

test('old test events are deleted beside any number of newer events, without a change of the feed', async () => {
  const [first, second] = [(await testCallback()).status, (await testCallback()).status]
  expect([first, second]).toEqual([202, 202])
  await api.db.exec('delivered', 'delete from deliveries where id = (select min(id) from deliveries)')
  clock.time = new Date(start.getTime() + 31 * 86_400_000)
  const insert = (count: number) =>
    api.db.exec(
      'newer',
      `with s as (update event_sequence set last_position = last_position + $1 returning last_position as last)
       insert into events (position, account_id, type, occurred_at, payload)
       select last + 1 - n, $2, 'subscribe', $3, '{}' from s, generate_series(1, $1::int) n`,
      [count, api.owner.accountId, clock.time],
    )
  await insert(5_001)
  await api.db.exec(
    'wait',
    `insert into deliveries (endpoint_id, position, phone, due_at)
     select (select id from endpoints), position, position, $1 from events where not is_test`,
    [clock.time],
  )
  const rt = makeRuntime({ db: api.db, clock })
  const run = (job: Job) => job.run(rt, {}, new AbortController().signal)
  const tests = async () => (await api.db.many('tests', 'select from events where is_test')).length
  await run(deleteEventsJob)
  expect(await tests()).toBe(1)
  await run(deleteDeliveriesJob)
  await run(deleteEventsJob)
  expect(await tests()).toBe(0)
  const bounds = await api.db.one('bounds', 'select deleted_position as deleted from event_sequence')
  expect(bounds).toEqual({ deleted: 0 })
  expect((await api.owner.get('/events')).body.events).toHaveLength(100)
})

describe('concurrently', () => {
  let fresh: TestDatabase
  let webhook: TestedWebhook
  beforeEach(async () => {
    fresh = await freshDatabase()
    const list = await make.list(fresh.db)
    const { id: webhookId } = await make.webhook(fresh.db, { listId: list.id })
    webhook = { accountId: list.accountId, listId: list.id, webhookId, timeZone: 'UTC' }
  })
  afterEach(() => fresh.close())
  const rt = (db = fresh.db) => makeRuntime({ ...fresh, db, clock })
  const callback = { type: 'transactional_message_status', url: callbackUrl } as const

  test('test events do not exceed their limit', async () => {
    const send = (n: number) =>
      n % 2 ? sendCallbackTest(rt(), webhook, callback) : sendTestEvent(rt(), webhook, 'subscribe')
    const sent = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => send(n)))
    const rejected = sent.flatMap((each) => (each.status === 'rejected' ? [each.reason.code ?? each.reason] : []))
    expect(rejected).toEqual(Array.from({ length: 40 - maxTestsPerMinute }, () => 'too_many_test_events'))
  })

  test('a request that sends a test event does not delay the numbering of events', async () => {
    const { db } = fresh
    await db.exec(
      'record',
      `insert into event_outbox (account_id, type, occurred_at, callback_url, phone, time_zone, facts)
       values ($1, 'transactional_message_status', $2, $3, 2065550100, 'UTC', '{"messageId":7,"status":"delivered"}')`,
      [webhook.accountId, start, callbackUrl],
    )
    await db.tx(async (tx) => {
      await sendTestEvent(rt(tx), webhook, 'subscribe')
      await sendCallbackTest(rt(tx), webhook, callback)
      const numbered = await numberEvents(db, (other, events) => insertDeliveries(other, events, start))
      expect(numbered.count).toBe(1)
    })
    const { last } = await db.one<{ last: number }>('last', 'select last_position as last from event_sequence')
    expect(last).toBe(1)
    expect((await db.many('deliveries', 'select from deliveries')).length).toBe(3)
  })

  test('a job that deletes unused endpoints deletes none for which a test event has just been queued', async () => {
    const { db } = fresh
    await db.tx((tx) => lockTestEndpoint(tx, webhook.accountId))
    const run = () => deleteDeliveriesJob.run(rt(), {}, new AbortController().signal)
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    const isWaiting = async () => (await db.exec('waiting', waiting)) === 1
    const job = await db.tx(async (tx) => {
      await sendCallbackTest(rt(tx), webhook, callback)
      const job = run()
      await waitFor(isWaiting)
      return { ended: job }
    })
    await job.ended
    expect(await db.many('deliveries', 'select from deliveries')).toHaveLength(1)

    // and the reverse: a test event waits for the job, and inserts the endpoint again
    await db.exec('empty', 'delete from deliveries')
    const test = await db.tx(async (tx) => {
      await becomeSequencer(tx)
      await deleteIdleCallbackEndpoints(tx, start, 0, 100)
      const test = sendCallbackTest(rt(), webhook, callback)
      await waitFor(isWaiting)
      return { ended: test }
    })
    await test.ended
    expect(await db.many('deliveries', 'select from deliveries')).toHaveLength(1)
  })
})

test('a preview of a callback has the keys of the contract, in its order', async () => {
  const { path } = await newWebhook()
  const preview = async (type: string) => (await api.owner.get(`${path}/preview?type=${type}`)).text
  const time = '"2026-03-02T02:00:00-08:00"'
  expect(await preview('transactional_message_status')).toBe(
    '{"status":"OK","preview":{"type":"transactional_message_status","payload":{"type":"transactional_message_status",' +
      `"transactional_message_id":0,"timestamp":${time},"phone_number":"2065550100","status":"delivered"}}}`,
  )
  expect(await preview('transactional_message_reply')).toBe(
    '{"status":"OK","preview":{"type":"transactional_message_reply","payload":{"type":"transactional_message_reply",' +
      `"transactional_message_id":0,"received_at":${time},"phone_number":"2065550100","carrier":383,"carrier_name":"AT&T",` +
      '"content":"Thank you!"}}}',
  )
})
