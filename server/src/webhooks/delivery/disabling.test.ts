import { pino } from 'pino'
import { expect, test } from 'vitest'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { changeWebhook } from '../webhooks.ts'
import { disableFailingJob } from './delivery.jobs.ts'

const world = useWebhooks()
const { attemptsOf, clock, listWith, newDispatcher, optIn, pending, receiverOf } = world

const warning = 40

/** Returns a log of warnings, and its lines. */
function recordedLog() {
  const lines: object[] = []
  return { lines, log: pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) }) }
}

const endpointOf = async ({ webhookId }: { webhookId: number }) =>
  (await world.db.one<{ id: number }>('find_endpoint', 'select id from endpoints where webhook_id = $1', [webhookId]))
    .id

test('a 410 disables the endpoint at once and keeps its events', async () => {
  const receiver = await receiverOf((res) => void res.writeHead(410).end())
  const list = await listWith(receiver.url)
  await optIn(list, phones(40))
  const { lines, log } = recordedLog()
  await newDispatcher({ log }).round()
  const reason = () => world.db.one('read_reason', 'select disabled_reason as reason from endpoints')
  await waitFor(async () => ((await reason()) as { reason: string | null }).reason === 'gone')
  expect(receiver.received).toHaveLength(1)
  expect(await pending()).toBe(40)
  const endpoint = await endpointOf(list)
  await waitFor(() => lines.length > 0)
  expect(lines).toMatchObject([{ level: warning, endpoint, msg: 'endpoint responded 410, it is disabled' }])
})

test('an endpoint that failed for five days is disabled; a change of the webhook enables it, and its events arrive', async () => {
  let isBroken = true
  const receiver = await receiverOf((res) => void res.writeHead(isBroken ? 500 : 200).end())
  const list = await listWith(receiver.url)
  await optIn(list, phones(1))
  const dispatcher = newDispatcher()
  await dispatcher.round()
  await waitFor(async () => (await attemptsOf()).length === 1)
  const day = 86_400_000
  const { lines, log } = recordedLog()
  const rt = makeRuntime({ db: world.db, clock, log })
  const run = () => disableFailingJob.run(rt, {}, new AbortController().signal)
  const reason = async () =>
    (await world.db.one<{ reason: string | null }>('read_reason', 'select disabled_reason as reason from endpoints'))
      .reason
  clock.time = new Date(start.getTime() + 5 * day - 1_000)
  await run()
  expect(await reason()).toBeNull()
  clock.time = new Date(start.getTime() + 5 * day)
  await run()
  // its only attempt was five days ago
  expect(await reason()).toBeNull()
  await dispatcher.round()
  await waitFor(async () => (await attemptsOf()).length === 2)
  expect(lines).toEqual([])
  for (let n = 0; n < 2; n++) await run()
  expect(await reason()).toBe('failing')
  const endpoint = await endpointOf(list)
  expect(lines).toMatchObject([{ level: warning, endpoint, msg: 'endpoint failed for five days, it is disabled' }])
  await optIn(list, phones(1))
  await newDispatcher().round()
  expect(receiver.received).toHaveLength(2)
  isBroken = false
  const webhook = await world.db.one<{ id: number }>('find_id', 'select id from webhooks')
  await changeWebhook(rt, world.accountId, list.id, webhook.id, {
    callbackUrl: undefined,
    events: {},
  })
  // the second retry is due after at most 76 s
  clock.time = new Date(clock.time.getTime() + 80_000)
  await waitFor(async () => {
    await dispatcher.round()
    return (await pending()) === 0
  })
  expect(receiver.received).toHaveLength(4)
})
