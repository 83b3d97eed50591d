import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import type { WebhookReceiver } from '../../../test/webhook-receiver.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'

// What endpoints that do not respond, or fail, take away from others.

const world = useWebhooks()
const { attemptsOf, clock, listWith, newDispatcher, optIn, receiverOf } = world

const phoneOf = ({ body }: WebhookReceiver['received'][number]) => body.phone_number

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
