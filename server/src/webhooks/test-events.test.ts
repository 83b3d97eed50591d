import { afterEach, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { listEventTypes } from '../events/event-types.ts'
import { numberEvents } from '../events/sequence.ts'
import { insertDeliveries, listDueDeliveries } from './delivery/deliveries.queries.ts'
import { maxTestsPerMinute, sendTestEvent } from './test-events.ts'

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

test('an account sends at most 30 test events in a minute', async () => {
  const { path } = await newWebhook()
  const send = () => api.owner.post(`${path}/test_events`, { test_event: { type: 'subscribe' } })
  for (let n = 0; n < 30; n++) expect((await send()).status).toBe(202)
  const rejected = await send()
  expect(rejected.body.code).toBe('too_many_test_events')
  expect(rejected.headers['retry-after']).toBe('60')
  clock.time = new Date(start.getTime() + 60_000)
  expect((await send()).status).toBe(202)
})

test('concurrent test events do not exceed their limit', async () => {
  const fresh = await freshDatabase()
  try {
    const list = await make.list(fresh.db)
    const { id: webhookId } = await make.webhook(fresh.db, { listId: list.id })
    const webhook = { accountId: list.accountId, listId: list.id, webhookId, timeZone: 'UTC' }
    const rt = makeRuntime({ ...fresh, clock })
    const sent = await Promise.allSettled(Array.from({ length: 40 }, () => sendTestEvent(rt, webhook, 'subscribe')))
    expect(sent.filter(({ status }) => status === 'fulfilled')).toHaveLength(maxTestsPerMinute)
  } finally {
    await fresh.close()
  }
})

test('a preview of a callback has the keys of the contract', async () => {
  const { path } = await newWebhook()
  const previewOf = async (type: string) =>
    ((await api.owner.get(`${path}/preview?type=${type}`)).body.preview as { payload: object }).payload
  const message = { transactional_message_id: 0, phone_number: '2065550100' }
  const time = '2026-03-02T02:00:00-08:00'
  expect(await previewOf('transactional_message_status')).toEqual({
    ...{ type: 'transactional_message_status', ...message, timestamp: time, status: 'delivered' },
  })
  expect(await previewOf('transactional_message_reply')).toEqual({
    ...{ type: 'transactional_message_reply', ...message, received_at: time },
    ...{ carrier: 383, carrier_name: 'AT&T', content: 'Thank you!' },
  })
})
