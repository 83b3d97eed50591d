import { afterEach, beforeEach, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { acceptBroadcast } from '../../messages/messages.ts'

// Sending windows from end to end, from the audience of a broadcast to the carrier.

let sending: Awaited<ReturnType<typeof startSending>>
let now: Date
const setClock = (time: string) => {
  now = new Date(time)
}
beforeEach(() => setClock('2031-05-06T23:30:00Z'))
afterEach(() => sending.stop())

const start = async (options: Parameters<typeof startSending>[0] = {}) => {
  sending = await startSending({ clock: { now: () => now }, ...options })
  await sending.startGateway()
  await update(`update accounts set quiet_hours = true`)
}

let statements = 0
const update = (sql: string) => sending.db.exec(`update_${++statements}`, sql)

const seattle = 2_065_560_000
const tampa = 8_135_560_000
const fill = (after: number, count: number) => make.subscribers(sending.db, { listId: sending.list.id, count, after })

const sentTo = (first: number) => {
  const phones = sending.raw().map((record) => Number(record.destination.slice(-10)))
  return phones.filter((phone) => Math.floor(phone / 10_000) === Math.floor(first / 10_000)).length
}

test('each recipient is texted only within the sending window of their location', async () => {
  await start()
  await fill(seattle, 20)
  await fill(tampa, 20)
  setClock('2031-05-07T00:30:00Z')
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { delivered: 20, queued: 20 })
  expect([sentTo(seattle), sentTo(tampa)]).toEqual([20, 0])
  setClock('2031-05-07T12:00:00Z')
  await sending.waitForCounters(id, { delivered: 40 })
  expect(sending.raw()).toHaveLength(40)
})

test('recipients not reached before a sending window ends are texted in the next one, each once', async () => {
  await start({ window: 5, binds: 1, latencyMs: 40 })
  await sending.startGateway()
  await fill(tampa, 200)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 30)
  setClock('2031-05-07T00:00:00Z')
  // texts marked before still get their responses
  await waitFor(async () => (await sending.counters(id)).submitting === 0)
  const written = sending.raw().length
  expect(written).toBeLessThan(150)
  await waitFor(async () => {
    const sql = `select bool_and(due_at = '2031-05-07T12:00:00Z') as reopened from send_chunks
                  where message_id = $1 and done_at is null`
    return (await sending.db.one<{ reopened: boolean | null }>('reopened', sql, [id])).reopened
  })
  expect(sending.raw().length).toBe(written)
  expect(await sending.counters(id)).toMatchObject({ queued: 200 - written })
  setClock('2031-05-07T12:00:01Z')
  await sending.waitForCounters(id, { delivered: 200 })
  expect(sending.raw()).toHaveLength(200)
})

test('a message ends when its sending window ends and the next one starts after its deadline', async () => {
  await start({ window: 5, binds: 1, latencyMs: 40 })
  await fill(tampa, 150)
  const id = await sending.broadcast()
  await update(`update messages set deliver_by = '2031-05-07T06:00:00Z'`)
  await waitFor(() => sending.raw().length >= 30)
  setClock('2031-05-07T00:00:00Z')
  await waitFor(async () => (await sending.counters(id)).queued === 0)
  const written = sending.raw().length
  await sending.waitForCounters(id, { delivered: written, suppressed: 150 - written })
  await waitFor(async () => {
    const sql = `select from messages where id = $1 and status = 'sent'`
    return (await sending.db.exec('is_sent', sql, [id])) === 1
  })
  await waitFor(async () => {
    const open = 'select from send_chunks where message_id = $1 and done_at is null'
    return (await sending.db.exec('open_chunks', open, [id])) === 0
  })
})

test('a throttled text is not retried after its deadline', async () => {
  await start({ window: 5, binds: 1 })
  await fill(seattle, 40)
  await sending.control('PATCH', '/settings', { throttle: { mps: 1 } })
  const id = await sending.broadcast()
  await update(`update messages set deliver_by = '2031-05-06T23:40:00Z'`)
  await waitFor(() => sending.raw().length >= 1)
  setClock('2031-05-06T23:40:00Z')
  await waitFor(async () => {
    const { queued, submitting } = await sending.counters(id)
    return queued + submitting === 0
  })
  const written = sending.raw().length
  await sending.control('PATCH', '/settings', { throttle: null })
  await sending.waitForCounters(id, { delivered: written, suppressed: 40 - written })
  expect(await sending.states(id)).toMatchObject({ [seattle + 40]: 'suppressed too_late' })
  expect(sending.raw()).toHaveLength(written)
})

test('the validity period of a text ends with its sending window or at its deadline', async () => {
  sending = await startSending({ clock: { now: () => now } })
  await update(`update accounts set quiet_hours = true`)
  const carrier = await startOddCarrier(sending.rt, (_, n) => ({ message_id: `id${n}` }))
  try {
    await sending.subscribe(seattle + 1, tampa + 1)
    const validities = () =>
      Object.fromEntries(carrier.submits.map((pdu) => [pdu.destination_addr.slice(-10), pdu.validity_period]))
    await sending.broadcast()
    await waitFor(() => carrier.submits.length === 2)
    expect(validities()).toEqual({ [seattle + 1]: '000000033000000R', [tampa + 1]: '000000003000000R' })
    const { accountId } = sending.list
    const deliverBy = new Date('2031-05-06T23:45:00Z')
    const timing = { localTime: false, quietHours: false, sendHours: null, deliverBy }
    await acceptBroadcast(sending.rt, { accountId, list: sending.list, content: 'Until a quarter to twelve.', timing })
    await waitFor(() => carrier.submits.length === 4)
    expect(validities()).toEqual({ [seattle + 1]: '000000001500000R', [tampa + 1]: '000000001500000R' })
  } finally {
    await carrier.stop()
  }
})
