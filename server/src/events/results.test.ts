import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { reportResults } from './message-events.ts'
import { numberEvents } from './sequence.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })
const second = 1_000
const minute = 60 * second
const phone = '2065550143'
const callbackUrl = 'https://shop.example/sms?order=7'

beforeEach(() => api.db.exec('forget', 'delete from event_outbox'))
afterEach(() => {
  clock.time = start
})

async function send(webhook_callback_url: string | null = callbackUrl): Promise<number> {
  const transactional_message = { number: phone, content: 'Your box is ready', webhook_callback_url }
  const { body } = await api.owner.post('/transactional_messages', { transactional_message })
  return (body.transactional_message as { id: number }).id
}

/** Moves the only row of a message between counters, as a receipt does. */
const move = (id: number, from: string, to: string) =>
  api.db.exec(
    `move_${from}_${to}`,
    `update message_counters set ${from} = ${from} - 1, ${to} = ${to} + 1 where message_id = $1`,
    [id],
  )

/** Looks at results every second for a time; returns the reported statuses with their times in seconds. */
async function lookFor(ms: number): Promise<[string, number][]> {
  const end = clock.time.getTime() + ms
  while (clock.time.getTime() < end) {
    clock.time = new Date(clock.time.getTime() + second)
    await reportResults({ db: api.db, clock })
  }
  return (await numbered()).map(({ payload, occurredAt }) => [
    (JSON.parse(payload) as { status: string }).status,
    (occurredAt.getTime() - start.getTime()) / second,
  ])
}

async function numbered() {
  const all: { payload: string; callbackUrl: string | null; occurredAt: Date }[] = []
  await numberEvents(api.db, async (_tx, events) => void all.push(...events))
  return all
}

test('the result has the keys of the contract, in its order', async () => {
  const id = await send()
  await move(id, 'queued', 'delivered')
  await reportResults({ db: api.db, clock })
  expect(await numbered()).toMatchObject([
    {
      callbackUrl,
      payload: `{"type":"transactional_message_status","transactional_message_id":${id},"timestamp":"2026-03-02T02:00:00-08:00","phone_number":"2065550143","status":"delivered"}`,
    },
  ])
})

test.each([
  ['delivered', 'delivered'],
  ['bounced', 'bounced'],
  ['expired', 'bounced'],
  ['suppressed', 'bounced'],
  ['cancelled', 'bounced'],
])('%s is reported once, as %s', async (state, status) => {
  const id = await send()
  await move(id, 'queued', 'sent')
  expect(await lookFor(5 * second)).toEqual([])
  await move(id, 'sent', state)
  expect(await lookFor(4 * second)).toMatchObject([[status, expect.any(Number)]])
  expect(await lookFor(20 * minute)).toEqual([])
})

test('pending is reported once after ten minutes, then the result within a quarter of the age, up to five minutes', async () => {
  const id = await send()
  await move(id, 'queued', 'unknown')
  const [pending, ...others] = await lookFor(15 * minute)
  expect(others).toEqual([])
  expect(pending?.[0]).toBe('pending')
  expect(pending?.[1]).toBeGreaterThanOrEqual(600)
  expect(pending?.[1]).toBeLessThanOrEqual(750)
  clock.time = new Date(start.getTime() + 8 * 60 * minute)
  expect(await lookFor(second)).toEqual([])
  await move(id, 'unknown', 'delivered')
  expect(await lookFor(5 * minute)).toMatchObject([['delivered', expect.any(Number)]])
})

test('a message that was closed without a known result stays pending and is not looked at again', async () => {
  const id = await send()
  await move(id, 'queued', 'unknown')
  await lookFor(11 * minute)
  await api.db.exec('close', 'update messages set closed_at = $2 where id = $1', [id, clock.time])
  await lookFor(5 * minute)
  expect(await api.db.one('next', 'select report_at as next from messages where id = $1', [id])).toEqual({ next: null })
})

describe('without a callback', () => {
  test('no result is looked for', async () => {
    await move(await send(null), 'queued', 'delivered')
    expect(await lookFor(5 * second)).toEqual([])
    expect(await api.db.many('waiting', 'select from messages where report_at is not null')).toEqual([])
  })

  test('the feed has the results', async () => {
    await api.db.exec('feed_on', 'update accounts set event_feed = true where id = $1', [api.owner.accountId])
    await move(await send(null), 'queued', 'delivered')
    expect(await lookFor(2 * second)).toMatchObject([['delivered', 1]])
    await move(await send(null), 'queued', 'delivered')
    await api.db.exec('feed_off', 'update accounts set event_feed = false where id = $1', [api.owner.accountId])
    expect(await lookFor(2 * second)).toEqual([])
  })
})

test('texts to numbers of a list have no result', async () => {
  await api.db.exec('feed_on', 'update accounts set event_feed = true where id = $1', [api.owner.accountId])
  const { body } = await api.owner.post('/lists', { list: { name: 'Soup' } })
  const list = (body.list as { id: number }).id
  await api.owner.post(`/lists/${list}/messages`, { message: { content: 'Hi', phone_numbers: [phone] } })
  expect(await api.db.many('waiting', 'select from messages where report_at is not null')).toEqual([])
  await api.db.exec('feed_off', 'update accounts set event_feed = false where id = $1', [api.owner.accountId])
})
