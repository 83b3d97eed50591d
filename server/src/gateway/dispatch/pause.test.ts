import { afterEach, describe, expect, test } from 'vitest'
import { basic } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { makeApp } from '../../http/app.ts'
import { cancelMessage, waitUntilIdle } from '../../messages/stop/cancel.ts'
import { pauseMessage, resumeMessage } from '../../messages/stop/pause.ts'

let sending: Awaited<ReturnType<typeof startSending>>
afterEach(() => sending.stop())

const fill = (count: number) =>
  sending.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, 2065560000 + n, now(), 'subscribed', now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, $2::int) n`,
    [sending.list.id, count],
  )

type Answer = { status: string; message: Record<string, unknown> }

/** Asks the API for it; answers when the answer came. */
async function post(messageId: number, what: string, headers: Record<string, string> = {}): Promise<Answer> {
  const app = await makeApp(sending.rt)
  try {
    const { key } = await make.apiKey(sending.db, { accountId: sending.list.accountId })
    const url = `/api/v2/lists/${sending.list.id}/messages/${messageId}/${what}`
    const answer = await app.inject({ method: 'POST', url, headers: { authorization: basic(key), ...headers } })
    expect(answer.statusCode).toBe(200)
    return answer.json()
  } finally {
    await app.close()
  }
}

async function pause(messageId: number): Promise<void> {
  await pauseMessage(sending.rt, sending.list.id, messageId)
  await waitUntilIdle(sending.rt, messageId)
}
const resume = (messageId: number) => resumeMessage(sending.rt, sending.list.id, messageId)

const phonesSentTo = () => sending.raw().map((record) => record.destination)

/** Lets the gateways and the worker go round a few times, as their heartbeats tell. */
async function aWhile() {
  const beats = async () =>
    (await sending.db.one<{ n: Date }>('beats', `select max(seen_at) as n from heartbeats where role = 'gateway'`)).n
  const before = await beats()
  await waitFor(async () => (await beats()).getTime() > before.getTime() + 900, { timeoutMs: 5_000 })
}

describe.each<Record<string, string>>([{}, { 'idempotency-key': 'once' }])('asked with headers %j', (headers) => {
  test('no text leaves after the response, which has the exact remainder, and the remainder gets it once', async () => {
    sending = await startSending({ latencyMs: 30, window: 20, binds: 1 })
    await sending.startGateway()
    await sending.startGateway()
    await fill(1_500)
    const id = await sending.broadcast()
    await waitFor(() => sending.raw().length >= 100)
    const { status, message } = await post(id, 'pause', headers)
    const left = sending.raw().length
    expect({ status, is: message.status, queued: message.queued_count }).toEqual({
      status: 'Message paused',
      is: 'sending',
      queued: 1_500 - left,
    })
    expect(left).toBeLessThan(1_300)
    await aWhile()
    expect(sending.raw().length).toBe(left)
    expect(await sending.counters(id)).toMatchObject({ queued: 1_500 - left, submitting: 0 })
    expect((await post(id, 'resume', headers)).message).not.toHaveProperty('paused_at')
    await sending.untilCounted(id, { delivered: 1_500 })
    expect(new Set(phonesSentTo()).size).toBe(1_500)
    expect(phonesSentTo()).toHaveLength(1_500)
  })
})

test('an audience that is still being written is paused as it is written', async () => {
  sending = await startSending({ latencyMs: 20, window: 10 })
  await fill(1_500)
  const id = await sending.broadcast()
  await pause(id)
  await sending.startGateway()
  await waitFor(async () => (await sending.counters(id)).audience === 1_500)
  await aWhile()
  expect(sending.raw()).toEqual([])
  expect(await sending.counters(id)).toMatchObject({ queued: 1_500 })
  await resume(id)
  await sending.untilCounted(id, { delivered: 1_500 }, 15_000)
})

test('paused and resumed over and over, every recipient gets it once', async () => {
  sending = await startSending({ latencyMs: 20, window: 20 })
  await sending.startGateway()
  await sending.startGateway()
  await fill(2_000)
  const id = await sending.broadcast()
  for (let round = 0; round < 6; round++) {
    const before = sending.raw().length
    await waitFor(() => sending.raw().length > before + 20 || sending.raw().length >= 2_000)
    if (sending.raw().length > 1_900) break
    await Promise.all([pause(id), pause(id)])
    const left = sending.raw().length
    expect(await sending.counters(id)).toMatchObject({ submitting: 0, queued: 2_000 - left })
    await Promise.all([resume(id), resume(id)])
  }
  await sending.untilCounted(id, { delivered: 2_000 })
  expect(phonesSentTo()).toHaveLength(2_000)
})

test('cancelled while paused, the rest is cancelled and the gateway releases it', async () => {
  sending = await startSending({ latencyMs: 40, window: 20 })
  await sending.startGateway()
  await fill(2_000)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 50)
  await pause(id)
  const left = sending.raw().length
  await cancelMessage(sending.rt, sending.list.id, id)
  await sending.untilCounted(id, { delivered: left, cancelled: 2_000 - left })
  await waitFor(
    async () => {
      const open = 'select from send_chunks where message_id = $1 and done_at is null'
      return (await sending.db.exec('open_chunks', open, [id])) === 0
    },
    { timeoutMs: 5_000 },
  )
  await expect(resume(id)).rejects.toThrow('Message is cancelled and cannot be resumed')
})

test('past its deadline a paused message ends, and its rest is suppressed', async () => {
  sending = await startSending({ latencyMs: 40, window: 20 })
  await sending.startGateway()
  await fill(1_000)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 50)
  await pause(id)
  const left = sending.raw().length
  await sending.db.exec('set_deadline', 'update messages set deliver_by = now() where id = $1', [id])
  await sending.untilCounted(id, { delivered: left, suppressed: 1_000 - left })
  const sql = 'select status, paused_at from messages where id = $1'
  await waitFor(async () => (await sending.db.one<{ status: string }>('status_of', sql, [id])).status === 'sent')
  expect(await sending.db.one('status_of', sql, [id])).toEqual({ status: 'sent', paused_at: null })
  await expect(pause(id)).rejects.toThrow('Message is sent and cannot be paused')
})
