import { expect, test } from 'vitest'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, useWebhooks } from '../../../test/webhook-world.ts'
import { changeWebhook } from '../webhooks.ts'

// Updates of a webhook while a worker has the lease of its endpoint.

const world = useWebhooks()
const { attemptsOf, listWith, newDispatcher, optIn, pending, receiverOf } = world

type List = Awaited<ReturnType<typeof listWith>>

const update = (list: List, callbackUrl?: string) => {
  const rt = makeRuntime({ db: world.db, clock: world.clock })
  return changeWebhook(rt, world.accountId, list.id, list.webhookId, { callbackUrl, events: {} })
}

const endpoint = () =>
  world.db.one<{ reason: string | null; failingSince: Date | null }>(
    'read_endpoint',
    'select disabled_reason as reason, failing_since as "failingSince" from endpoints',
  )

/** Starts a receiver whose first response, with this status, waits until `release` is called. */
async function heldReceiver(status: number, headers: Record<string, string> = {}) {
  const released = Promise.withResolvers<void>()
  const receiver = await receiverOf(async (res, _event, n) => {
    if (n > 1) return void res.writeHead(204).end()
    await released.promise
    res.writeHead(status, headers).end()
  })
  return { receiver, release: released.resolve }
}

test('a 410 of the former URL does not disable the webhook, whose events arrive at the new URL', async () => {
  const { receiver: former, release } = await heldReceiver(410)
  const present = await receiverOf()
  const list = await listWith(former.url)
  await optIn(list, phones(3))
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(() => former.received.length === 1)
  await update(list, present.url)
  release()
  await waitFor(async () => (await attemptsOf()).length === 1)
  // the first event waits for its retry
  await waitFor(async () => {
    await dispatcher.round()
    return (await pending()) === 1
  })
  expect(present.received).toHaveLength(2)
  expect(former.received).toHaveLength(1)
  expect((await endpoint()).reason).toBeNull()
})

test('an update ends a pause that only the worker knows, before it has released the lease', async () => {
  const { receiver, release } = await heldReceiver(503, { 'retry-after': '3600' })
  const list = await listWith(receiver.url)
  await optIn(list, phones(3))
  const dispatcher = newDispatcher()
  // the second round renews the lease, so the next renewal is later than the release
  await dispatcher.round()
  await dispatcher.round()
  await waitFor(() => receiver.received.length === 1)
  release()
  await waitFor(async () => (await attemptsOf()).length === 1)
  await update(list)
  await waitFor(async () => {
    await dispatcher.round()
    return (await pending()) === 1
  })
  expect(receiver.received).toHaveLength(3)
})

test('a new URL begins without the failures of the former one; another update does not', async () => {
  const broken = await receiverOf((res) => void res.writeHead(500).end())
  const list = await listWith(broken.url)
  await optIn(list, phones(1))
  await newDispatcher().round()
  await waitFor(async () => (await attemptsOf()).length === 1)
  await update(list, broken.url)
  expect((await endpoint()).failingSince).toEqual(world.clock.time)
  await update(list, `${broken.url}&new`)
  expect((await endpoint()).failingSince).toBeNull()
})
