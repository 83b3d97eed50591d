import { expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, useWebhooks } from '../../../test/webhook-world.ts'
import { requeueDeliveries } from '../delivery/requeue.queries.ts'

const world = useWebhooks()

test('a live event is delivered soon although many replayed ones are due', async () => {
  const replays = 150
  const delayed = Promise.withResolvers<void>()
  const receiver = await world.receiverOf(async (res, _event, n) => {
    if (n > replays) await delayed.promise
    res.writeHead(204).end()
  })
  const list = await world.listWith(receiver.url)
  await world.optIn(list, phones(replays))
  const dispatcher = world.newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await world.pending()) === 0)
  const { id: endpoint } = await world.db.one<{ id: number }>('find_endpoint', 'select id from endpoints')
  const events = await world.db.many<{ position: number }>('list_events', 'select position from events')
  const positions = events.map(({ position }) => position)
  await world.db.tx((tx) => requeueDeliveries(tx, endpoint, positions, world.clock.time))
  await waitFor(async () => {
    await dispatcher.round()
    return receiver.received.length > replays
  })
  const live = 2_065_559_999
  await world.optIn(list, [live])
  delayed.resolve()
  await waitFor(async () => (await world.pending()) === 0)
  expect(receiver.received).toHaveLength(2 * replays + 1)
  const before = receiver.received.findIndex(({ body }) => body.phone_number === String(live))
  // a page of replays, and the requests in flight
  expect(before).toBeLessThanOrEqual(replays + 20 + 10)
})
