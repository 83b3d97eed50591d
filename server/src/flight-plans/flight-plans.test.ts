import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { upsertRate } from '../rates/rates.queries.ts'
import { blockNumbers } from '../short-codes/short-codes.queries.ts'
import { computeFlightPlanJob, forgetFlightPlansJob } from './flight-plans.jobs.ts'
import { finishFlightPlan } from './flight-plans.queries.ts'

import type { FlightPlanResult } from './result.ts'

const att = 383
let now = new Date('2026-03-02T10:00:00Z')
const api = useApi({ clock: { now: () => now } })
const rt = () => makeRuntime({ db: api.db, clock: { now: () => now } })
const alive = new AbortController().signal

let listId: number
let path: string
beforeEach(async () => {
  now = new Date('2026-03-02T10:00:00Z')
  const { accountId, shortCode } = api.owner
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
  path = `/lists/${listId}`
})

type Plan = { id: number; status: string; result?: Record<string, unknown> }
const planOf = (response: { body: Record<string, unknown> }) => response.body.flight_plan as Plan

const subscribe = (phone: number, firstName = '', more: object = {}) =>
  make.subscriber(api.db, { listId, phone, firstName, at: new Date('2026-03-01T10:00:00Z'), ...more })

const request = (message: object) => api.owner.post(`${path}/flight_plans`, { message })
const show = async (id: number) => planOf(await api.owner.get(`${path}/flight_plans/${id}`))

/** Requests a plan, computes it with the job, and returns its result. */
async function compute(message: object) {
  const requested = await request(message)
  expect(requested.status, requested.text).toBe(202)
  const { id } = planOf(requested)
  await computeFlightPlanJob.run(rt(), { flightPlanId: id }, alive)
  return (await show(id)).result
}

test('the request returns immediately, and a job computes the plan', async () => {
  await subscribe(2065560001)
  const requested = await request({ content: 'Hello' })
  expect(requested).toMatchObject({ status: 202, body: { flight_plan: { status: 'pending', message_id: null } } })
  const { id } = planOf(requested)
  expect(await show(id)).not.toHaveProperty('result')
  const queued = await api.db.many('queued', `select data from pgboss.job where name = 'flight-plans.compute'`)
  expect(queued).toEqual([{ data: { flightPlanId: id } }])
  await computeFlightPlanJob.run(rt(), { flightPlanId: id }, alive)
  expect(await show(id)).toMatchObject({ status: 'done', result: { audience: 1, recipients: 1 } })
})

test('a plan counts members who sent STOP to the short code, as the mark will suppress them', async () => {
  await subscribe(2065560001)
  await subscribe(2065560002)
  await subscribe(2065560003)
  const elsewhere = await make.shortCode(api.db, { accountId: api.owner.accountId })
  await blockNumbers(api.db, api.owner.shortCode.id, [2065560002], now)
  await blockNumbers(api.db, elsewhere.id, [2065560003], now)
  expect(await compute({ content: 'Hello' })).toMatchObject({ audience: 3, suppressed: { stopped: 1 }, recipients: 2 })
})

test('a plan counts the audience and suppressed members like an expansion', async () => {
  await subscribe(2065560001, 'Ana')
  await subscribe(2065560002, 'A'.repeat(50))
  await subscribe(2065560003, '', { state: 'unsubscribed' })
  await subscribe(2065560004, '', { state: 'pending' })
  expect(await compute({ content: `{first_name}${'a'.repeat(120)}` })).toMatchObject({
    audience: 2,
    recipients: 1,
    suppressed: { opted_out: 0, too_long: 1, blank: 0, no_window: 0, too_late: 0 },
    parts: { sum: 1, minimum: 1, maximum: 1, histogram: [{ parts: 1, recipients: 1 }] },
  })
})

test('a plan applies the audience filter', async () => {
  await subscribe(2065560001)
  await subscribe(2065560002)
  await api.owner.put(`${path}/subscribers/2065560002`, { subscriber: { tags: ['vip'] } })
  expect(await compute({ content: 'Hello', audience: { tags_any: ['vip'] } })).toMatchObject({ audience: 1 })
})

test('parts are counted after merge tags, and priced by carrier', async () => {
  await upsertRate(api.db, {
    accountId: null,
    channel: 'sms',
    carrier: null,
    price: '0.0079',
    since: '2020-01-01',
    source: '',
  })
  await upsertRate(api.db, {
    accountId: null,
    channel: 'sms',
    carrier: att,
    price: '0.5',
    since: '2020-01-01',
    source: '',
  })
  await subscribe(2065560001, 'A'.repeat(20))
  await subscribe(2065560002, 'A')
  await subscribe(2065560003, 'A'.repeat(21))
  await api.db.exec(
    'look_up',
    `insert into number_look_ups (phone, kind, carrier, looked_up_at) values (2065560001, 'mobile', $1, now())`,
    [att],
  )
  expect(await compute({ content: `{first_name}${'a'.repeat(140)}`, max_parts: 2 })).toMatchObject({
    parts: {
      sum: 4,
      minimum: 1,
      maximum: 2,
      histogram: [
        { parts: 1, recipients: 2 },
        { parts: 2, recipients: 1 },
      ],
    },
    cost: {
      total: 0.52,
      by_carrier: [
        { carrier: null, carrier_name: null, recipients: 2, parts: 3, price: 0.0079, cost: 0.02 },
        { carrier: att, carrier_name: 'AT&T', recipients: 1, parts: 1, price: 0.5, cost: 0.5 },
      ],
    },
  })
})

test('characters that require UCS-2 are listed, with the savings of replacing them', async () => {
  await upsertRate(api.db, {
    accountId: null,
    channel: 'sms',
    carrier: null,
    price: '1',
    since: '2020-01-01',
    source: '',
  })
  await subscribe(2065560001, 'Zoë')
  await subscribe(2065560002, 'Ana')
  expect(await compute({ content: `{first_name}: we’re open 👍${'.'.repeat(60)}` })).toMatchObject({
    parts: { sum: 4 },
    ucs2: {
      recipients: 2,
      saved_parts: 2,
      saved_cost: 2,
      characters: [
        { character: '’', in_text: true, recipients: 2, replacement: "'" },
        { character: '👍', in_text: true, recipients: 2, replacement: '' },
        { character: 'ë', in_text: false, recipients: 1, replacement: 'e' },
      ],
    },
  })
})

describe('the duration', () => {
  const query = (sql: string) => api.db.withClient((client) => client.query(sql))
  beforeEach(async () => {
    await subscribe(2065560001)
    await query('update connections set enabled = false')
  })

  test('is null without a connection', async () => {
    expect(await compute({ content: 'Hello' })).toMatchObject({
      duration: { minutes: null, limited_by: 'no_connection' },
    })
  })

  test('follows from the caps in the first tier with an enabled connection', async () => {
    for (const [name, tier] of [
      ['first', 0],
      ['second', 0],
      ['spare', 1],
    ] as const) {
      await make.connection(api.db, { name, port: 1, enabled: true })
      await api.db.exec(
        'route',
        `insert into short_code_routes (short_code_id, connection_id, tier)
         select $1, id, $3 from connections where name = $2`,
        [api.owner.shortCode.id, name, tier],
      )
    }
    await query(`update connections set mps = 7, "window" = 10, slots = 1`)
    expect(await compute({ content: 'Hello' })).toMatchObject({
      duration: { minutes: 0.1, per_second: 14, limited_by: 'connections' },
    })
    await query(`update connections set enabled = false where name <> 'spare'`)
    expect(await compute({ content: 'Hello' })).toMatchObject({ duration: { per_second: 7 } })
    await query('update short_codes set mps = 3')
    expect(await compute({ content: 'Hello' })).toMatchObject({ duration: { per_second: 3, limited_by: 'short_code' } })
  })

  test('is computed for the largest number of binds with the largest window', async () => {
    await make.connection(api.db, { name: 'largest', port: 1, enabled: true })
    await query(`update connections set slots = 64, "window" = 1000, serves_all = true where name = 'largest'`)
    expect(await compute({ content: 'Hello' })).toMatchObject({
      duration: { per_second: 15_000, limited_by: 'software' },
    })
  })
})

describe('quiet hours', () => {
  // 7:30 p.m. in Seattle, 10:30 p.m. in New York
  beforeEach(async () => {
    now = new Date('2026-03-03T03:30:00Z')
    await subscribe(2065560001)
    await subscribe(2125560001)
  })

  test('are all 0 if the list does not observe them', async () => {
    expect(await compute({ content: 'Hello' })).toMatchObject({
      quiet_hours: { now: 0, at_send_at: 0, last_opens_at: null },
    })
  })

  test('count recipients who may not be texted now and at the send time', async () => {
    await api.db.exec('observe', 'update lists set quiet_hours = true where id = $1', [listId])
    expect(await compute({ content: 'Hello' })).toMatchObject({
      recipients: 2,
      quiet_hours: { now: 1, at_send_at: 1, last_opens_at: '2026-03-03T05:00:00-08:00' },
    })
    // noon in New York
    expect(await compute({ content: 'Hello', send_at: '2026-03-03T17:00:00Z' })).toMatchObject({
      quiet_hours: { now: 1, at_send_at: 0, last_opens_at: '2026-03-03T09:00:00-08:00' },
    })
  })

  test('suppress recipients without a window', async () => {
    await api.db.exec(
      'set_hours_without_overlap',
      `update lists set quiet_hours = true, send_from = '05:00', send_to = '06:00' where id = $1`,
      [listId],
    )
    expect(await compute({ content: 'Hello' })).toMatchObject({ recipients: 0, suppressed: { no_window: 2 } })
  })

  test('of a message follow its own settings', async () => {
    const message = { content: 'Hello', draft: true }
    const { id } = (await api.owner.post(`${path}/messages`, { message })).body.message as { id: number }
    await api.db.exec('observe_message', 'update messages set quiet_hours = true where id = $1', [id])
    const plan = async () => {
      const requested = planOf(await api.owner.post(`${path}/messages/${id}/flight_plan`))
      await computeFlightPlanJob.run(rt(), { flightPlanId: requested.id }, alive)
      return (await show(requested.id)).result
    }
    expect(await plan()).toMatchObject({ recipients: 2, quiet_hours: { now: 1 } })
    await api.db.exec('by', 'update messages set deliver_by = $2 where id = $1', [id, new Date('2026-03-03T12:00:00Z')])
    expect(await plan()).toMatchObject({ recipients: 1, suppressed: { too_late: 1 } })
  })
})

describe('the flight plan of a message', () => {
  const draft = async (message: object) =>
    ((await api.owner.post(`${path}/messages`, { message })).body.message as { id: number }).id
  const plan = (id: number) => api.owner.post(`${path}/messages/${id}/flight_plan`)

  test('uses its content, maximum parts and audience', async () => {
    await subscribe(2065560001)
    await subscribe(2065560002)
    await api.owner.put(`${path}/subscribers/2065560002`, { subscriber: { tags: ['vip'] } })
    const id = await draft({ content: 'a'.repeat(200), max_parts: 2, audience: { tags_none: ['vip'] }, draft: true })
    const requested = planOf(await plan(id))
    expect(requested).toMatchObject({ status: 'pending', message_id: id })
    await computeFlightPlanJob.run(rt(), { flightPlanId: requested.id }, alive)
    expect((await show(requested.id)).result).toMatchObject({ audience: 1, parts: { sum: 2 } })
  })

  test('is rejected if the message is being sent', async () => {
    const id = await draft({ content: 'Hello' })
    expect(await plan(id)).toMatchObject({ status: 422, body: { code: 'wrong_message_status' } })
  })

  test('is deleted with the message', async () => {
    const id = await draft({ content: 'Hello', draft: true })
    const requested = planOf(await plan(id))
    expect((await api.owner.delete(`${path}/messages/${id}`)).status).toBe(200)
    expect((await api.owner.get(`${path}/flight_plans/${requested.id}`)).status).toBe(404)
  })
})

describe('a plan is rejected for', () => {
  test.each([
    ['content that is too long', { content: 'a'.repeat(161) }],
    ['an unknown merge tag', { content: '{nobody}' }],
    ['an invalid time', { content: 'x', send_at: 'soon' }],
    ['an empty audience', { content: 'x', audience: {} }],
    ['an unknown key', { content: 'x', draft: true }],
    ['no content', {}],
  ])('%s', async (_case, message) => {
    expect((await request(message)).status).toBe(422)
    expect(await api.db.many('plans', 'select from flight_plans')).toEqual([])
  })

  test('a sixth plan while five are pending', async () => {
    for (let n = 0; n < 5; n++) expect((await request({ content: 'x' })).status).toBe(202)
    expect(await request({ content: 'x' })).toMatchObject({ status: 422, body: { code: 'too_many_flight_plans' } })
  })
})

test('plans are not found by another account', async () => {
  const { id } = planOf(await request({ content: 'Hello' }))
  expect((await api.stranger.get(`${path}/flight_plans/${id}`)).status).toBe(404)
  expect((await api.stranger.post(`${path}/flight_plans`, { message: { content: 'x' } })).status).toBe(404)
})

test('a plan fails after the last attempt of its job, and its status does not change afterwards', async () => {
  const { id } = planOf(await request({ content: 'Hello' }))
  await computeFlightPlanJob.onFinalFailure?.(rt(), { flightPlanId: id }, new Error('broken'))
  expect(await show(id)).toMatchObject({ status: 'failed' })
  // a concurrent run finishes afterwards
  await finishFlightPlan(api.db, id, {} as FlightPlanResult, now)
  expect(await show(id)).toMatchObject({ status: 'failed' })
  await computeFlightPlanJob.run(rt(), { flightPlanId: id }, alive)
  expect(await show(id)).toMatchObject({ status: 'failed' })
})

test('a plan is deleted after a day', async () => {
  const { id } = planOf(await request({ content: 'Hello' }))
  now = new Date('2026-03-03T09:59:00Z')
  await forgetFlightPlansJob.run(rt(), {}, alive)
  expect((await show(id)).status).toBe('pending')
  now = new Date('2026-03-03T10:01:00Z')
  await forgetFlightPlansJob.run(rt(), {}, alive)
  expect((await api.owner.get(`${path}/flight_plans/${id}`)).status).toBe(404)
})
