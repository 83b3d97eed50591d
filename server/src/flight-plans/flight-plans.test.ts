import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { upsertRate } from '../rates/rates.queries.ts'
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
const planOf = (answer: { body: Record<string, unknown> }) => answer.body.flight_plan as Plan

const subscribe = (phone: number, firstName = '', more: object = {}) =>
  make.subscriber(api.db, { listId, phone, firstName, at: new Date('2026-03-01T10:00:00Z'), ...more })

const order = (message: object) => api.owner.post(`${path}/flight_plans`, { message })
const show = async (id: number) => planOf(await api.owner.get(`${path}/flight_plans/${id}`))

/** The result of a plan, reckoned as a worker would. */
async function reckon(message: object) {
  const ordered = await order(message)
  expect(ordered.status, ordered.text).toBe(202)
  const { id } = planOf(ordered)
  await computeFlightPlanJob.run(rt(), { flightPlanId: id }, alive)
  return (await show(id)).result
}

test('is answered at once and reckoned by a job', async () => {
  await subscribe(2065560001)
  const ordered = await order({ content: 'Hello' })
  expect(ordered).toMatchObject({ status: 202, body: { flight_plan: { status: 'pending', message_id: null } } })
  const { id } = planOf(ordered)
  expect(await show(id)).not.toHaveProperty('result')
  const queued = await api.db.many('queued', `select data from pgboss.job where name = 'flight-plans.compute'`)
  expect(queued).toEqual([{ data: { flightPlanId: id } }])
  await computeFlightPlanJob.run(rt(), { flightPlanId: id }, alive)
  expect(await show(id)).toMatchObject({ status: 'done', result: { audience: 1, recipients: 1 } })
})

test('counts everybody as an expansion would: who is in it, and who of them gets nothing', async () => {
  await subscribe(2065560001, 'Ana')
  await subscribe(2065560002, 'A'.repeat(50))
  await subscribe(2065560003, '', { state: 'unsubscribed' })
  await subscribe(2065560004, '', { state: 'pending' })
  expect(await reckon({ content: `{first_name}${'a'.repeat(120)}` })).toMatchObject({
    audience: 2,
    recipients: 1,
    suppressed: { opted_out: 0, too_long: 1, blank: 0, no_window: 0, too_late: 0 },
    parts: { sum: 1, minimum: 1, maximum: 1, histogram: [{ parts: 1, recipients: 1 }] },
  })
})

test('of an audience, only that', async () => {
  await subscribe(2065560001)
  await subscribe(2065560002)
  await api.owner.put(`${path}/subscribers/2065560002`, { subscriber: { tags: ['vip'] } })
  expect(await reckon({ content: 'Hello', audience: { tags_any: ['vip'] } })).toMatchObject({ audience: 1 })
})

test('of parts, the histogram after merge tags, and what they cost by carrier', async () => {
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
  expect(await reckon({ content: `{first_name}${'a'.repeat(140)}`, max_parts: 2 })).toMatchObject({
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

test('of characters, those that force UCS-2, where they are, and what replacing them would save', async () => {
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
  expect(await reckon({ content: `{first_name}: we’re open 👍${'.'.repeat(60)}` })).toMatchObject({
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

describe('of time', () => {
  const connect = (given: string) => api.db.withClient((client) => client.query(given))
  beforeEach(async () => {
    await subscribe(2065560001)
    await connect('update connections set enabled = false')
  })

  test('nothing where no connection could send it', async () => {
    expect(await reckon({ content: 'Hello' })).toMatchObject({
      duration: { minutes: null, limited_by: 'no_connection' },
    })
  })

  test('what the caps of the first tier that may send allow', async () => {
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
    await connect(`update connections set mps = 7, "window" = 10, slots = 1`)
    expect(await reckon({ content: 'Hello' })).toMatchObject({
      duration: { minutes: 0.1, per_second: 14, limited_by: 'connections' },
    })
    await connect(`update connections set enabled = false where name <> 'spare'`)
    expect(await reckon({ content: 'Hello' })).toMatchObject({ duration: { per_second: 7 } })
    await connect('update short_codes set mps = 3')
    expect(await reckon({ content: 'Hello' })).toMatchObject({ duration: { per_second: 3, limited_by: 'short_code' } })
  })
})

describe('of quiet hours', () => {
  // half past seven in the evening in Seattle, half past ten in New York
  beforeEach(async () => {
    now = new Date('2026-03-03T03:30:00Z')
    await subscribe(2065560001)
    await subscribe(2125560001)
  })

  test('nothing where none are kept', async () => {
    expect(await reckon({ content: 'Hello' })).toMatchObject({
      quiet_hours: { now: 0, at_send_at: 0, last_opens_at: null },
    })
  })

  test('who may not be texted now and when it is to go out, where the list keeps to them', async () => {
    await api.db.exec('keep', 'update lists set quiet_hours = true where id = $1', [listId])
    expect(await reckon({ content: 'Hello' })).toMatchObject({
      recipients: 2,
      quiet_hours: { now: 1, at_send_at: 1, last_opens_at: '2026-03-03T05:00:00-08:00' },
    })
    // noon in New York
    expect(await reckon({ content: 'Hello', send_at: '2026-03-03T17:00:00Z' })).toMatchObject({
      quiet_hours: { now: 1, at_send_at: 0, last_opens_at: '2026-03-03T09:00:00-08:00' },
    })
  })

  test('nobody whose hours never come', async () => {
    await api.db.exec(
      'never',
      `update lists set quiet_hours = true, send_from = '05:00', send_to = '06:00' where id = $1`,
      [listId],
    )
    expect(await reckon({ content: 'Hello' })).toMatchObject({ recipients: 0, suppressed: { no_window: 2 } })
  })

  test('of a message, by what it says itself', async () => {
    const message = { content: 'Hello', draft: true }
    const { id } = (await api.owner.post(`${path}/messages`, { message })).body.message as { id: number }
    await api.db.exec('say', 'update messages set quiet_hours = true where id = $1', [id])
    const plan = async () => {
      const ordered = planOf(await api.owner.post(`${path}/messages/${id}/flight_plan`))
      await computeFlightPlanJob.run(rt(), { flightPlanId: ordered.id }, alive)
      return (await show(ordered.id)).result
    }
    expect(await plan()).toMatchObject({ recipients: 2, quiet_hours: { now: 1 } })
    await api.db.exec('by', 'update messages set deliver_by = $2 where id = $1', [id, new Date('2026-03-03T12:00:00Z')])
    expect(await plan()).toMatchObject({ recipients: 1, suppressed: { too_late: 1 } })
  })
})

describe('of a message', () => {
  const draft = async (message: object) =>
    ((await api.owner.post(`${path}/messages`, { message })).body.message as { id: number }).id
  const plan = (id: number) => api.owner.post(`${path}/messages/${id}/flight_plan`)

  test('takes its text, length and audience', async () => {
    await subscribe(2065560001)
    await subscribe(2065560002)
    await api.owner.put(`${path}/subscribers/2065560002`, { subscriber: { tags: ['vip'] } })
    const id = await draft({ content: 'a'.repeat(200), max_parts: 2, audience: { tags_none: ['vip'] }, draft: true })
    const ordered = planOf(await plan(id))
    expect(ordered).toMatchObject({ status: 'pending', message_id: id })
    await computeFlightPlanJob.run(rt(), { flightPlanId: ordered.id }, alive)
    expect((await show(ordered.id)).result).toMatchObject({ audience: 1, parts: { sum: 2 } })
  })

  test('is refused for one that is on its way', async () => {
    const id = await draft({ content: 'Hello' })
    expect(await plan(id)).toMatchObject({ status: 422, body: { code: 'wrong_message_status' } })
  })

  test('goes with it', async () => {
    const id = await draft({ content: 'Hello', draft: true })
    const ordered = planOf(await plan(id))
    expect((await api.owner.delete(`${path}/messages/${id}`)).status).toBe(200)
    expect((await api.owner.get(`${path}/flight_plans/${ordered.id}`)).status).toBe(404)
  })
})

describe('is refused', () => {
  test.each([
    ['a text that is too long', { content: 'a'.repeat(161) }],
    ['a tag that is unknown', { content: '{nobody}' }],
    ['a time that is none', { content: 'x', send_at: 'soon' }],
    ['an audience of nothing', { content: 'x', audience: {} }],
    ['a key that it has not', { content: 'x', draft: true }],
    ['no text', {}],
  ])('%s', async (_case, message) => {
    expect((await order(message)).status).toBe(422)
    expect(await api.db.many('plans', 'select from flight_plans')).toEqual([])
  })

  test('a sixth while five are being reckoned', async () => {
    for (let n = 0; n < 5; n++) expect((await order({ content: 'x' })).status).toBe(202)
    expect(await order({ content: 'x' })).toMatchObject({ status: 422, body: { code: 'too_many_flight_plans' } })
  })
})

test("a stranger's list has none", async () => {
  const { id } = planOf(await order({ content: 'Hello' }))
  expect((await api.stranger.get(`${path}/flight_plans/${id}`)).status).toBe(404)
  expect((await api.stranger.post(`${path}/flight_plans`, { message: { content: 'x' } })).status).toBe(404)
})

test('one that cannot be reckoned has failed, and does not stand in the way', async () => {
  const { id } = planOf(await order({ content: 'Hello' }))
  await computeFlightPlanJob.gaveUp?.(rt(), { flightPlanId: id }, new Error('broken'))
  expect(await show(id)).toMatchObject({ status: 'failed' })
  // another run that was under way all the same
  await finishFlightPlan(api.db, id, {} as FlightPlanResult, now)
  expect(await show(id)).toMatchObject({ status: 'failed' })
  await computeFlightPlanJob.run(rt(), { flightPlanId: id }, alive)
  expect(await show(id)).toMatchObject({ status: 'failed' })
})

test('is kept for a day', async () => {
  const { id } = planOf(await order({ content: 'Hello' }))
  now = new Date('2026-03-03T09:59:00Z')
  await forgetFlightPlansJob.run(rt(), {}, alive)
  expect((await show(id)).status).toBe('pending')
  now = new Date('2026-03-03T10:01:00Z')
  await forgetFlightPlansJob.run(rt(), {}, alive)
  expect((await api.owner.get(`${path}/flight_plans/${id}`)).status).toBe(404)
})
