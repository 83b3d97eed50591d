import { expect, test } from 'vitest'
import { useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { numberEvents } from '../../events/sequence.ts'
import { insertDeliveries } from '../delivery/deliveries.queries.ts'
import { disableFailing, disableGone } from '../delivery/endpoints.queries.ts'
import { type DeliveryAttempt, recordAttempts } from '../delivery/results.queries.ts'
import { maxCounted } from './health.queries.ts'

const now = new Date('2026-03-02T10:00:00Z')
const api = useApi({ clock: { now: () => now } })
const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000)

async function newEndpoint() {
  const list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  const webhook = await make.webhook(api.db, { listId: list.id })
  const { id } = await api.db.one<{ id: number }>('find_id', 'select id from endpoints where webhook_id = $1', [
    webhook.id,
  ])
  return { id, listId: list.id, webhookId: webhook.id, path: `/lists/${list.id}/webhooks/${webhook.id}/health` }
}

function attempt(endpointId: number, outcome: DeliveryAttempt['outcome'], startedAt: Date): DeliveryAttempt {
  return {
    delivery: {
      ...{ id: 0, round: 0, position: 1, type: 'subscribe', phone: null, isTest: false },
      ...{ accountId: api.owner.accountId, endpointId },
    },
    ...{
      revision: 0,
      attempt: 1,
      outcome,
      retryAt: null,
      pauseMs: 0,
      startedAt,
      durationMs: 5,
      error: outcome === 'failed' ? 'timeout' : null,
    },
    ...{ request: { url: null, headers: {} }, status: outcome === 'delivered' ? 200 : null, response: null },
  }
}

test('the health of a webhook counts the attempts of the last hour and day, and what waits', async () => {
  const { id, webhookId, path } = await newEndpoint()
  const none = { delivered: 0, failed: 0, success_rate: null }
  const fresh = {
    webhook_id: webhookId,
    enabled: true,
    disabled_at: null,
    disabled_reason: null,
    failing_since: null,
    last_success_at: null,
    last_failure: null,
    last_hour: none,
    last_day: none,
    queue_length: 0,
    oldest_waiting_at: null,
  }
  expect((await api.owner.get(path)).body).toEqual({ status: 'OK', health: fresh })
  const other = await newEndpoint()
  await recordAttempts(api.db, [
    attempt(id, 'delivered', ago(2_000)),
    attempt(id, 'delivered', ago(300)),
    attempt(id, 'delivered', ago(50)),
    attempt(id, 'failed', ago(49)),
    attempt(other.id, 'failed', ago(1)),
  ])
  await recordAttempts(api.db, [attempt(id, 'delivered', ago(51))])
  await recordAttempts(api.db, [attempt(id, 'failed', ago(48))])
  await api.db.exec(
    'fill_queue',
    `with e as (insert into events (position, account_id, type, occurred_at, payload)
                select n, $2, 'subscribe', $3::timestamptz + n * interval '1 s', '{}' from generate_series(1, 3) n)
     insert into deliveries (endpoint_id, position, due_at) select $1, n, $3 from generate_series(1, 3) n`,
    [id, api.owner.accountId, ago(60)],
  )
  const { health } = (await api.owner.get(path)).body as { health: Record<string, unknown> }
  expect(health).toMatchObject({
    failing_since: '2026-03-02T01:12:00-08:00',
    last_success_at: '2026-03-02T01:10:00-08:00',
    last_failure: { attempt_id: expect.any(Number), at: '2026-03-02T01:12:00-08:00', status: null, error: 'timeout' },
    last_hour: { delivered: 2, failed: 2, success_rate: 0.5 },
    last_day: { delivered: 3, failed: 2, success_rate: 0.6 },
    queue_length: 3,
    oldest_waiting_at: '2026-03-02T01:00:01-08:00',
  })
  expect((await api.stranger.get(path)).status).toBe(404)
})

test('a queue is counted up to a limit', async () => {
  const { id, path } = await newEndpoint()
  await api.db.exec(
    'fill_long_queue',
    'insert into deliveries (endpoint_id, position, due_at) select $1, n, $2 from generate_series(1, $3) n',
    [id, now, maxCounted + 1],
  )
  expect((await api.owner.get(path)).body.health).toMatchObject({ queue_length: maxCounted })
})

test('a disabled endpoint is reported once by its health and in the feed, with the reason', async () => {
  const { id, listId, webhookId, path } = await newEndpoint()
  await api.owner.put('/event_feed', { event_feed: { enabled: true } })
  await recordAttempts(api.db, [attempt(id, 'failed', ago(7_200))])
  expect(await disableFailing(api.db, ago(7_200), now)).toEqual([])
  await recordAttempts(api.db, [attempt(id, 'failed', now)])
  expect(await disableFailing(api.db, ago(7_200), now)).toEqual([id])
  expect(await disableGone(api.db, { id, revision: 0 }, now)).toBe(false)
  await numberEvents(api.db, (tx, events) => insertDeliveries(tx, events, now))
  const { events } = (await api.owner.get('/events?types=webhook_disabled')).body as { events: { event: object }[] }
  expect(events.map(({ event }) => event)).toEqual([
    {
      type: 'webhook_disabled',
      timestamp: '2026-03-02T02:00:00-08:00',
      account_id: api.owner.accountId,
      campaign_id: listId,
      webhook_id: webhookId,
      reason: 'failing',
      failing_since: '2026-02-25T02:00:00-08:00',
    },
  ])
  expect((await api.owner.get(path)).body.health).toMatchObject({
    enabled: false,
    disabled_at: '2026-03-02T02:00:00-08:00',
    disabled_reason: 'failing',
  })
})

test('without the feed, a disabled endpoint inserts no event', async () => {
  const { id } = await newEndpoint()
  expect(await disableGone(api.db, { id, revision: 0 }, now)).toBe(true)
  expect(await api.db.one('count_outbox', 'select count(*) as n from event_outbox')).toEqual({ n: 0 })
})
