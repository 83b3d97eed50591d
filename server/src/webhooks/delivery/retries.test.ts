import { Webhook } from 'standardwebhooks'
import { afterEach, expect, test, vi } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import type { ReceivedEvent } from '../../../test/webhook-receiver.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { findSecrets, replaceSecrets } from './endpoints.queries.ts'
import { openSecrets, sealWebhookSecret } from './secrets.ts'
import { formatSecret } from './signature.ts'

const world = useWebhooks()

afterEach(() => {
  vi.useRealTimers()
})

/** Verifies a delivery with the public library, whose clock shows the time of the attempt. */
function verify({ raw, headers }: ReceivedEvent, secret: string, at: Date) {
  vi.useFakeTimers({ toFake: ['Date'], now: at })
  try {
    return new Webhook(secret).verify(raw, headers as Record<string, string>)
  } finally {
    vi.useRealTimers()
  }
}

test('an event gets eleven attempts within the bounds of the schedule, each with a new signature, and is then given up', async () => {
  const receiver = await world.receiverOf((res, _event, n) => void res.writeHead(n <= 11 ? 500 : 204).end())
  const list = await world.listWith(receiver.url)
  const [phone = 0] = phones(1)
  await world.optIn(list, [phone])
  await world.optIn(list, [phone])
  const first = openSecrets(world.sealer, await findSecrets(world.db, list.webhookId), start)[0] ?? ''
  const second = formatSecret(Buffer.alloc(32, 7))
  const dispatcher = world.newDispatcher()
  const attempted = (n: number) =>
    waitFor(async () => {
      await dispatcher.round()
      return (await world.attemptsOf()).length === n
    })
  const dueAt = async () =>
    (
      await world.db.one<{ at: Date }>('read_due', 'select due_at as at from deliveries where not is_behind')
    ).at.getTime()

  await attempted(1)
  const times = [start]
  for (let n = 0; n < 10; n++) {
    const now = world.clock.time.getTime()
    const seconds = ((await dueAt()) - now) / 1_000
    expect(seconds).toBeGreaterThanOrEqual(n ** 4 + 15)
    expect(seconds).toBeLessThanOrEqual(n ** 4 + 15 + 29 * (n + 1))
    if (n === 8) {
      const until = new Date(now + 10 * 86_400_000)
      const { secret: former } = await findSecrets(world.db, list.webhookId)
      const secret = sealWebhookSecret(world.sealer, second)
      await replaceSecrets(world.db, list.webhookId, { secret, previousSecret: former, previousSecretUntil: until })
    }
    world.clock.time = new Date(now + seconds * 1_000 - 1)
    for (let round = 0; round < 2; round++) await dispatcher.round()
    expect(receiver.received).toHaveLength(n + 1)
    world.clock.time = new Date(now + seconds * 1_000)
    times.push(world.clock.time)
    await attempted(n + 2)
  }

  const outcomes = (await world.attemptsOf()).map(({ outcome }) => outcome)
  expect(outcomes).toEqual([...Array.from({ length: 10 }, () => 'failed'), 'dead'])
  const [firstAttempt, tenthAttempt] = [receiver.received[0], receiver.received[9]]
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect(receiver.received.map(({ headers }) => Number(headers['webhook-timestamp']))).toEqual(
    times.map((time) => Math.floor(time.getTime() / 1_000)),
  )
  if (!firstAttempt || !tenthAttempt) throw new Error('no attempts')
  expect(verify(firstAttempt, first, times[0] ?? start)).toEqual(firstAttempt.body)
  for (const secret of [first, second]) {
    expect(verify(tenthAttempt, secret, times[9] ?? start)).toEqual(firstAttempt.body)
  }
  expect(() => verify(firstAttempt, second, start)).toThrow()
  // a copy that is sent again later is too old
  expect(() => verify(firstAttempt, first, times[9] ?? start)).toThrow()

  // the second event of the phone waited for the first one, and is marked
  world.clock.time = new Date(world.clock.time.getTime() + 7 * 3_600_000)
  await attempted(12)
  const marks = receiver.received.map(({ headers }) => headers['carillon-after-dead-letter'])
  expect(marks).toEqual([...Array.from({ length: 11 }, () => undefined), 'true'])
  expect(receiver.received[11]?.body).toMatchObject({ phone_number: String(phone) })
  expect(await world.pending()).toBe(0)
  await world.optIn(list, [phone])
  await attempted(13)
  expect(receiver.received[12]?.headers).not.toHaveProperty('carillon-after-dead-letter')
})
