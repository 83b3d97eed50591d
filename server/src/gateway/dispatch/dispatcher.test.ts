import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { type Responder, startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { acceptBroadcast, sendSystemText } from '../../messages/messages.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import { timing } from '../timing.ts'

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>> | undefined

const silent: Responder = () => undefined
const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)

const systemText = (phone: number) =>
  sending.db.tx((tx) =>
    sendSystemText(tx, sending.rt, {
      accountId: sending.list.accountId,
      listId: sending.list.id,
      shortCodeId: sending.shortCode.id,
      phone,
      content: 'Welcome to the pantry.',
      consent: 'not_opted_out',
    }),
  )

/** Accepts this many texts per second and throttles the others. */
function throttleTo(perSecond: number) {
  const acceptedAt: number[] = []
  const counts = { throttled: 0 }
  const respond: Responder = (_, ordinal) => {
    const now = performance.now()
    while ((acceptedAt[0] ?? now) < now - 1_000) acceptedAt.shift()
    if (acceptedAt.length >= perSecond) {
      counts.throttled++
      return { command_status: commandStatus.ESME_RTHROTTLED }
    }
    acceptedAt.push(now)
    return { message_id: `id${ordinal}` }
  }
  return { counts, respond }
}

beforeEach(async () => {
  sending = await startSending({ window: 5, binds: 1, leaseMs: 1_500 })
})
afterEach(async () => {
  await carrier?.stop()
  carrier = undefined
  await sending.stop()
})

test('a gateway without a bind releases its chunks for one that has a bind', async () => {
  carrier = await startOddCarrier(sending.rt, silent)
  await sending.subscribe(...phones(20))
  const id = await sending.broadcast()
  const { submits } = carrier
  await waitFor(() => submits.length > 0)
  await carrier.close()
  await sending.startGateway()
  await sending.waitForCounters(id, {
    queued: 0,
    submitting: 0,
    unknown: submits.length,
    delivered: 20 - submits.length,
  })
})

test('failed claims are retried no sooner than at the next poll', async () => {
  let failures = 0
  const lines = new Writable({
    write(line, _, done) {
      if (String(line).includes('failed to claim chunks')) failures++
      done()
    },
  })
  await sending.db.exec('hide', 'alter table send_chunks rename to hidden_chunks')
  carrier = await startOddCarrier({ ...sending.rt, log: pino({ level: 'warn' }, lines) }, silent)
  await waitFor(() => failures > 0)
  const [before, startedAt] = [failures, performance.now()]
  await waitFor(() => failures >= before + 10)
  // urgent texts and broadcasts are claimed separately, each four times per second
  expect(performance.now() - startedAt).toBeGreaterThan(500)
  await sending.db.exec('show', 'alter table hidden_chunks rename to send_chunks')
})

test('many urgent texts are leased in batches, and all are sent', async () => {
  const texts = 250
  for (const phone of phones(texts)) await systemText(phone)
  carrier = await startOddCarrier(sending.rt, silent)
  const { submits } = carrier
  await waitFor(() => submits.length === 5)
  const { leased } = await sending.db.one<{ leased: number }>(
    'leased',
    'select count(*) as leased from send_chunks where lease_until is not null',
  )
  expect(leased).toBeLessThanOrEqual(100)
  await carrier.close()
  await sending.startGateway()
  const ended = `select from message_log where state in ('delivered', 'unknown')`
  await waitFor(async () => (await sending.db.exec('ended', ended)) === texts, { timeoutMs: 15_000 })
  expect(sending.raw()).toHaveLength(texts - submits.length)
})

describe('during a big broadcast', () => {
  const bigSize = 4_000
  let big: number

  beforeEach(async () => {
    await sending.stop()
    sending = await startSending({ window: 10, binds: 1, latencyMs: 10 })
    await sending.db.exec(
      'fill',
      `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
       select $1, 2065570000 + n, now(), 'subscribed', now() - interval '1 day', now() - interval '1 day' from generate_series(1, $2) n`,
      [sending.list.id, bigSize],
    )
    await sending.startGateway()
    big = await sending.broadcast('To all of you')
    await waitFor(() => sending.raw().length > 100)
  })

  test('a small broadcast gets an equal share of the throughput', async () => {
    const { accountId, shortCodeId } = sending.list
    const list = await make.list(sending.db, { accountId, shortCodeId })
    for (const phone of phones(150)) await make.subscriber(sending.db, { listId: list.id, phone })
    const { id } = await acceptBroadcast(sending.rt, { accountId, list, content: 'To a few' })
    const isSmall = ({ destination }: { destination: string }) => destination < '12065570000'
    await waitFor(() => sending.raw().filter(isSmall).length === 150, { timeoutMs: 8_000 })
    const order = sending.raw().map(isSmall)
    const span = order.slice(order.indexOf(true), order.lastIndexOf(true) + 1)
    expect(span.length).toBeGreaterThan(250)
    expect(span.length).toBeLessThan(360)
    await sending.waitForCounters(id, { delivered: 150 })
  })

  test('a system text overtakes all texts of the broadcast that are not in flight yet', async () => {
    const { accountId, id: listId, shortCodeId } = sending.list
    const text = { accountId, listId, shortCodeId, phone: 2_065_560_001, content: 'Welcome.' }
    await sending.db.tx((tx) => sendSystemText(tx, sending.rt, { ...text, consent: 'not_opted_out' }))
    const before = sending.raw().length
    const ordinal = await waitFor(() => sending.raw().findIndex(({ destination }) => destination === '12065560001') + 1)
    expect(ordinal - before).toBeLessThan(100)
    expect((await sending.counters(big)).queued).toBeGreaterThan(1_000)
  })
})

test('a throttling carrier receives texts at the pace that it accepts, and each recipient gets one text', async () => {
  const { counts, respond } = throttleTo(50)
  carrier = await startOddCarrier(sending.rt, respond)
  await sending.subscribe(...phones(150))
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 150 })
  expect(counts.throttled).toBeGreaterThan(0)
  expect(counts.throttled).toBeLessThan(60)
})

test('an urgent text does not stop the broadcasts of a carrier that throttles', async () => {
  const { counts, respond } = throttleTo(5)
  carrier = await startOddCarrier(sending.rt, respond)
  await sending.subscribe(...phones(60))
  const id = await sending.broadcast()
  await waitFor(() => counts.throttled > 0)
  await systemText(2_065_560_099)
  const { submits } = carrier
  await waitFor(() => submits.some(({ destination_addr }) => destination_addr === '12065560099'))
  const urgentAt = performance.now()
  const sent = (await sending.counters(id)).sent ?? 0
  await waitFor(async () => ((await sending.counters(id)).sent ?? 0) >= sent + 6)
  expect(performance.now() - urgentAt).toBeLessThan(timing.urgentRecentMs)
})
