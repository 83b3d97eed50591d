import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { deleteEvents } from './events.queries.ts'
import { feedPositions } from './positions.ts'
import { numberEvents } from './sequence.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

let list: { id: number }

beforeEach(async () => {
  await api.owner.put('/event_feed', { event_feed: { enabled: true } })
  list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
})
afterEach(() => {
  clock.time = start
})

type FeedEvent = { position: number; event: { type: string; phone_number: string } }

async function add(phone_number: string, subscriber: object = {}) {
  const flags = { bypass_opt_in_process: true, bypass_opt_in_response: true }
  await api.owner.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number, ...flags, ...subscriber } })
}

async function number() {
  // as the commit of a real transaction
  await api.db.exec('fire_triggers', 'set constraints all immediate')
  await api.db.exec('defer_triggers', 'set constraints all deferred')
  await numberEvents(api.db, async () => {})
}

async function read(query = '') {
  const { body, status, text } = await api.owner.get(`/events${query}`)
  if (status !== 200) throw new Error(text)
  const { events, next_after } = body as { events: FeedEvent[]; next_after: number }
  return {
    phones: events.map(({ event }) => event.phone_number),
    types: events.map(({ event }) => event.type),
    next_after,
  }
}

test('a reader that continues after next_after reads each event once, in order', async () => {
  const { next_after: before } = await read()
  for (let n = 0; n < 5; n++) await add(`206555021${n}`)
  await number()
  const first = await read(`?after=${before}&limit=2`)
  const second = await read(`?after=${first.next_after}&limit=2`)
  const third = await read(`?after=${second.next_after}&limit=2`)
  expect([first.phones, second.phones, third.phones]).toEqual([
    ['2065550210', '2065550211'],
    ['2065550212', '2065550213'],
    ['2065550214'],
  ])
  expect(await read(`?after=${third.next_after}`)).toMatchObject({ phones: [], next_after: third.next_after })
})

test('only events of the types are returned, and the next position passes the others', async () => {
  const { next_after: before } = await read()
  await add('2065550210')
  await api.owner.delete(`/lists/${list.id}/subscribers/2065550210`)
  await add('2065550211')
  await number()
  const page = await read(`?after=${before}&types=unsubscribe,cleaned`)
  expect(page.types).toEqual(['unsubscribe'])
  expect(page.next_after).toBe((await read()).next_after)
})

test('a read compares a limited number of events with its types, and the next one continues behind them', async () => {
  const { next_after: before } = await read()
  await api.db.exec(
    'insert_many_events',
    `with next as (update event_sequence set last_position = last_position + 10001 returning last_position - 10000 as first)
     insert into events (position, account_id, type, occurred_at, payload)
     select first + n, $1, case n when 10000 then 'cleaned' else 'subscribe' end, $2,
            json_build_object('type', case n when 10000 then 'cleaned' else 'subscribe' end)
       from next, generate_series(0, 10000) n`,
    [api.owner.accountId, start],
  )
  const first = await read(`?after=${before}&types=cleaned`)
  expect(first).toMatchObject({ types: [], next_after: before + 10_000 })
  expect((await read(`?after=${first.next_after}&types=cleaned`)).types).toEqual(['cleaned'])
})

test('the keys of the payload are in the order of the contract, then those of custom fields', async () => {
  for (const key of ['2026', 'shelf']) {
    await api.owner.post(`/lists/${list.id}/custom_fields`, {
      custom_field: { key, label: key, content_type: 'text', max_length: 5 },
    })
  }
  await add('2065550210', { shelf: 'a', '2026': 'b' })
  await number()
  const { text } = await api.owner.get('/events')
  expect(text).toMatch(
    /"event":\{"type":"subscribe","timestamp":.*"total_messages_received":0,"2026":"b","shelf":"a"\}/,
  )
})

test('another account reads nothing', async () => {
  await add('2065550211')
  await number()
  await api.stranger.put('/event_feed', { event_feed: { enabled: true } })
  const { body } = await api.stranger.get('/events')
  expect(body).toMatchObject({ events: [] })
})

test('a feed that is off gets no events, returns those that it has, and then a 422', async () => {
  await add('2065550210')
  await number()
  await api.owner.put('/event_feed', { event_feed: { enabled: false } })
  await add('2065550211')
  await number()
  const rest = await read()
  expect(rest.phones).toEqual(['2065550210'])
  const off = await api.owner.get(`/events?after=${rest.next_after}&wait=30`)
  expect(off).toMatchObject({ status: 422, body: { status: 'error', code: 'event_feed_off' } })
  await api.owner.put('/event_feed', { event_feed: { enabled: true } })
  expect(await read(`?after=${rest.next_after}`)).toMatchObject({ phones: [], next_after: rest.next_after })
})

test('a position that no event has yet is a 422, at once', async () => {
  const { next_after } = await read()
  const early = await api.owner.get(`/events?after=${next_after + 1}&wait=30`)
  expect(early).toMatchObject({
    status: 422,
    body: { code: 'invalid', details: { after: [`is greater than the last position, ${next_after}`] } },
  })
  expect(await read(`?after=${next_after}`)).toMatchObject({ phones: [] })
})

test('deleted events are a 410 with the oldest position', async () => {
  for (let n = 0; n < 4; n++) await add(`206555021${n}`)
  await number()
  const { body } = await api.owner.get('/events?limit=3')
  const positions = (body.events as FeedEvent[]).map(({ position }) => position)
  const [, second = 0, third = 0] = positions
  await api.db.exec('grow_old', `update events set occurred_at = '2026-01-01' where position <= $1`, [second])
  expect(await deleteEvents(api.db, feedPositions, start, 100)).toBeGreaterThanOrEqual(2)
  const late = await api.owner.get(`/events?after=${second - 1}`)
  expect(late.status).toBe(410)
  expect(late.body).toMatchObject({ code: 'events_deleted', details: { oldest_position: [String(third)] } })
  expect((await read(`?after=${second}`)).phones).toHaveLength(2)
  expect((await read()).phones).toHaveLength(2)
  const feed = (await api.owner.get('/event_feed')).body.event_feed
  expect(feed).toMatchObject({ enabled: true, oldest_position: third })
})

describe('waiting', () => {
  test('ends with the first event', async () => {
    const { next_after } = await read()
    const waiting = read(`?after=${next_after}&wait=30`)
    await add('2065550210')
    await number()
    expect((await waiting).phones).toEqual(['2065550210'])
  })

  test('ends with a 401 if the key has been disabled meanwhile', async () => {
    const { next_after } = await read()
    await add('2065550210')
    const waiting = api.owner.get(`/events?after=${next_after}&wait=30`)
    // the request has been authenticated when it waits
    await waitFor(async () => (await read(`?after=${next_after}`)).phones.length === 0)
    await new Promise((resolve) => setImmediate(resolve))
    await api.db.exec('disable_keys', 'update api_keys set disabled_at = $1', [start])
    await number()
    const { status, text } = await waiting
    expect([status, text.includes('2065550210')]).toEqual([401, false])
    await api.db.exec('enable_keys', 'update api_keys set disabled_at = null')
  })

  test('ends with an empty page when the time is over', async () => {
    const { next_after } = await read()
    expect(await read(`?after=${next_after}&wait=1`)).toMatchObject({ phones: [], next_after })
  })

  test('is a 429 for requests of one account beyond twenty, unless they have events', async () => {
    const { next_after } = await read()
    const rejected: unknown[] = []
    const wait = async () => {
      const { status, headers, body } = await api.owner.get(`/events?after=${next_after}&wait=30`)
      if (status === 429) rejected.push({ retryAfter: headers['retry-after'], status: body.status, code: body.code })
      return status
    }
    const all = Array.from({ length: 25 }, wait)
    await waitFor(() => rejected.length === 5)
    expect(rejected[4]).toEqual({ retryAfter: '5', status: 'error', code: 'too_many_waiting_requests' })
    await api.stranger.put('/event_feed', { event_feed: { enabled: true } })
    const others = api.stranger.get(`/events?after=${next_after}&wait=1`)
    await add('2065550210')
    await number()
    expect((await Promise.all(all)).filter((status) => status === 200)).toHaveLength(20)
    expect((await others).body).toMatchObject({ events: [] })
  })
})

test.each([['?after=-1'], ['?after=x'], ['?limit=0'], ['?limit=1001'], ['?wait=31'], ['?types=subscribe,birth']])(
  '%s is a 422',
  async (query) => {
    expect((await api.owner.get(`/events${query}`)).status).toBe(422)
  },
)
