import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { disableAccount } from '../accounts/accounts.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { readEnv } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { makeApp } from '../http/app.ts'
import { acceptBroadcast, sendSystemText, sendToNumbers } from '../messages/messages.ts'
import { listMetrics, upsertHeartbeat } from '../system/heartbeats.queries.ts'
import { Metrics } from '../system/metrics.ts'

const api = useApi()
const scrape = (headers: Record<string, string> = {}) => api.app.inject({ url: '/metrics', headers })

/** Returns the series of a response with their values; throws for a malformed line. */
function seriesOf(text: string): Map<string, number> {
  const series = new Map<string, number>()
  const families = new Set<string>()
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)
    if (type) {
      expect(families, `${type[1]} is reported once`).not.toContain(type[1])
      families.add(type[1] as string)
    } else if (!line.startsWith('# HELP ')) {
      const [, name, value] = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? []
      if (name === undefined || Number.isNaN(Number(value))) throw new Error(`malformed series: ${line}`)
      expect(series, 'each series is reported once').not.toContain(name)
      series.set(name, Number(value))
    }
  }
  return series
}

test('one request returns the metrics of every live process', async () => {
  const gateway = new Metrics('gateway', 'elsewhere:7')
  const values = [{ labels: { connection: 'default' }, value: 12 }]
  gateway.register(() => ({ name: 'carillon_submits_total', help: 'x', type: 'counter', values }))
  await upsertHeartbeat(api.db, 'gateway', randomUUID(), { metrics: gateway.snapshot() })
  await api.owner.get('/lists')
  const response = await scrape()
  expect(response.statusCode).toBe(200)
  expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
  const series = seriesOf(response.body)
  expect(series.get('carillon_submits_total{role="gateway",process="elsewhere:7",connection="default"}')).toBe(12)
  expect(series.get('carillon_database_up')).toBe(1)
  const lists = [...series].filter(([name]) => name.includes('route="GET /api/v2/lists"'))
  expect(lists.find(([name]) => name.startsWith('carillon_http_requests_total'))?.[1]).toBeGreaterThan(0)
  expect(lists.find(([name]) => name.includes('le="+Inf"'))?.[1]).toBeGreaterThan(0)
})

test('processes report metrics with a heartbeat every five seconds', async () => {
  const metrics = new Metrics('gateway')
  metrics.register(() => ({ name: 'carillon_some', help: 'x', type: 'gauge', values: [{ labels: {}, value: 3 }] }))
  const instance = randomUUID()
  const snapshot = metrics.snapshotIfDue()
  expect(snapshot).toHaveLength(1)
  await upsertHeartbeat(api.db, 'gateway', instance, { metrics: snapshot })
  expect(metrics.snapshotIfDue()).toBeUndefined()
  await upsertHeartbeat(api.db, 'gateway', instance, { metrics: metrics.snapshotIfDue() })
  expect(await listMetrics(api.db)).toContainEqual(snapshot)
  expect(new Metrics('gateway').process, 'another process on this machine with this process id').not.toBe(
    metrics.process,
  )
})

test('the metrics have the queue by lane, and the age of its oldest due text', async () => {
  const rt = makeRuntime({ db: api.db })
  const { accountId, shortCode } = api.owner
  const list = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  for (const phone of [2065550120, 2065550121, 2065550122]) await make.subscriber(api.db, { listId: list.id, phone })
  await acceptBroadcast(rt, { accountId, list: { id: list.id, shortCodeId: shortCode.id }, content: 'Doors at seven' })
  while (await expandOnce(rt)) {}
  const text = { accountId, listId: null, shortCodeId: shortCode.id, content: 'Your table is ready' }
  await sendToNumbers(rt, { ...text, phones: [2065550142], field: 'number' })
  await api.db.exec('age', `update send_chunks set due_at = due_at - interval '90 s' where lane = 2`)
  const series = seriesOf((await scrape()).body)
  expect(series.get('carillon_queue_recipients{lane="broadcast",when="due"}')).toBe(3)
  expect(series.get('carillon_queue_recipients{lane="transactional",when="due"}')).toBe(1)
  expect(series.get('carillon_queue_lag_seconds{lane="broadcast"}')).toBeGreaterThanOrEqual(90)
  expect(series.get('carillon_open_recipients{kind="broadcast",state="queued"}')).toBe(3)

  // texts of a disabled account wait for the operator, except a reply to STOP
  await sendSystemText(api.db, rt, { ...text, phone: 2065550143, consent: 'reply' })
  await disableAccount(api.db, accountId, new Date())
  const disabled = seriesOf((await scrape()).body)
  expect(disabled.get('carillon_queue_recipients{lane="broadcast",when="due"}')).toBe(0)
  expect(disabled.get('carillon_queue_recipients{lane="broadcast",when="later"}')).toBe(3)
  expect(disabled.get('carillon_queue_lag_seconds{lane="broadcast"}')).toBe(0)
  expect(disabled.get('carillon_queue_recipients{lane="transactional",when="later"}')).toBe(1)
  expect(disabled.get('carillon_queue_recipients{lane="system",when="due"}')).toBe(1)
})

test('a text with a retry chunk is counted once or not at all', async () => {
  const rt = makeRuntime({ db: api.db })
  const { accountId, shortCode } = api.owner
  const text = { accountId, listId: null, shortCodeId: shortCode.id, content: 'Your table is ready' }
  const { id } = await sendToNumbers(rt, { ...text, phones: [2065550142, 2065550143, 2065550144], field: 'number' })
  await api.db.exec(
    'set_counters',
    'update message_counters set queued = 1, delivered = 2 where message_id = $1 and counter_row = 0',
    [id],
  )
  await api.db.exec(
    'retry',
    `insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id, attempt)
     select message_id, short_code_id, logged_on, lane, due_at + interval '1 hour', first_log_id, last_log_id, 1
       from send_chunks where message_id = $1`,
    [id],
  )
  const series = seriesOf((await scrape()).body)
  expect(series.get('carillon_queue_recipients{lane="transactional",when="due"}')).toBe(1)
  expect(series.get('carillon_queue_recipients{lane="transactional",when="later"}')).toBe(0)
})

describe('access to /metrics', () => {
  test('is limited to this machine, and not through a proxy, in the sandbox without a token', async () => {
    const elsewhere = await api.app.inject({ url: '/metrics', remoteAddress: '203.0.113.9' })
    expect(elsewhere.statusCode).toBe(401)
    expect((await scrape({ 'x-forwarded-for': '203.0.113.9' })).statusCode).toBe(401)
    // a page whose name DNS points at this machine
    expect((await scrape({ host: 'evil.example:8080' })).statusCode).toBe(401)
    expect((await scrape({ host: '127.0.0.1:8080' })).statusCode).toBe(200)
    expect((await scrape()).statusCode).toBe(200)
  })

  test('is rejected for every client in production without a token', async () => {
    const request = async (env: Record<string, string>, headers = {}) => {
      const config = readEnv({ CARILLON_MODE: 'production', ...env })
      const app = await makeApp(makeRuntime({ db: api.db, config }))
      const response = await app.inject({ url: '/metrics', headers })
      await app.close()
      return response
    }
    const rejected = await request({})
    expect(rejected.statusCode).toBe(403)
    expect(rejected.json()).toMatchObject({
      code: 'metrics_need_token',
      error: expect.stringContaining('CARILLON_METRICS_TOKEN'),
    })
    const env = { CARILLON_METRICS_TOKEN: 'a-word-for-prometheus' }
    expect((await request(env)).statusCode).toBe(401)
    expect((await request(env, { authorization: 'Bearer a-word-for-prometheus' })).statusCode).toBe(200)
  })

  test('is limited to clients that send the token, if one is set', async () => {
    const config = readEnv({ CARILLON_METRICS_TOKEN: 'a-word-for-prometheus' })
    const app = await makeApp(makeRuntime({ db: api.db, config }))
    const get = (authorization?: string) =>
      app.inject({ url: '/metrics', remoteAddress: '203.0.113.9', headers: authorization ? { authorization } : {} })
    expect((await get()).statusCode).toBe(401)
    expect((await get('Bearer another-word-for-it')).statusCode).toBe(401)
    expect((await get('Bearer a-word-for-prometheus')).statusCode).toBe(200)
    await app.close()
  })
})

test('the metrics of this process are returned while the database is unavailable', async () => {
  const fail = () => Promise.reject(new Error('unavailable'))
  const db: Db = { ...api.db, many: fail, one: fail }
  const metrics = new Metrics('api', 'here:1')
  metrics.register(() => ({ name: 'carillon_some', help: 'x', type: 'gauge', values: [{ labels: {}, value: 3 }] }))
  const app = await makeApp(makeRuntime({ db, metrics }))
  const series = seriesOf((await app.inject({ url: '/metrics' })).body)
  expect(series.get('carillon_database_up')).toBe(0)
  expect(series.get('carillon_some{role="api",process="here:1"}')).toBe(3)
  await app.close()
})
