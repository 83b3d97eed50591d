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

const fill = (count: number) => make.subscribers(sending.db, { listId: sending.list.id, count })

type ResponseJson = { status: string; message: Record<string, unknown> }

/** Pauses or resumes through the API and returns the body of the response. */
async function post(messageId: number, action: string, headers: Record<string, string> = {}): Promise<ResponseJson> {
  const app = await makeApp(sending.rt)
  try {
    const { key } = await make.apiKey(sending.db, { accountId: sending.list.accountId })
    const url = `/api/v2/lists/${sending.list.id}/messages/${messageId}/${action}`
    const response = await app.inject({ method: 'POST', url, headers: { authorization: basic(key), ...headers } })
    expect(response.statusCode).toBe(200)
    return response.json()
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

/** Waits until a gateway has sent its next heartbeat, so that gateways and jobs would have had time to send more texts. */
async function untilNextHeartbeat() {
  const lastBeat = async () =>
    (
      await sending.db.one<{ at: Date }>(
        'last_beat',
        `select max(seen_at) as at from heartbeats where role = 'gateway'`,
      )
    ).at
  const before = await waitFor(lastBeat, { what: 'a first heartbeat' })
  await waitFor(async () => (await lastBeat()).getTime() > before.getTime() + 900, { timeoutMs: 5_000 })
}

describe.each<Record<string, string>>([{}, { 'idempotency-key': 'once' }])('a pause with headers %j', (headers) => {
  test('stops all texts before its response, which has the exact number of queued rows; a resume sends these', async () => {
    sending = await startSending({ latencyMs: 30, window: 20, binds: 1 })
    await sending.startGateway()
    await sending.startGateway()
    await fill(1_500)
    const id = await sending.broadcast()
    await waitFor(() => sending.raw().length >= 100)
    const { status, message } = await post(id, 'pause', headers)
    const written = sending.raw().length
    expect({ status, messageStatus: message.status, queued: message.queued_count }).toEqual({
      status: 'Message paused',
      messageStatus: 'sending',
      queued: 1_500 - written,
    })
    expect(written).toBeLessThan(1_300)
    await untilNextHeartbeat()
    expect(sending.raw().length).toBe(written)
    expect(await sending.counters(id)).toMatchObject({ queued: 1_500 - written, submitting: 0 })
    expect((await post(id, 'resume', headers)).message).not.toHaveProperty('paused_at')
    await sending.waitForCounters(id, { delivered: 1_500 })
    expect(new Set(phonesSentTo()).size).toBe(1_500)
    expect(phonesSentTo()).toHaveLength(1_500)
  })
})

test('rows that are written after a pause are paused as well', async () => {
  sending = await startSending({ latencyMs: 20, window: 10 })
  await fill(1_500)
  const id = await sending.broadcast()
  await pause(id)
  await sending.startGateway()
  await waitFor(async () => (await sending.counters(id)).audience === 1_500)
  await untilNextHeartbeat()
  expect(sending.raw()).toEqual([])
  expect(await sending.counters(id)).toMatchObject({ queued: 1_500 })
  await resume(id)
  await sending.waitForCounters(id, { delivered: 1_500 }, 15_000)
})

test('each recipient gets one text although the message is paused and resumed repeatedly', async () => {
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
    const written = sending.raw().length
    expect(await sending.counters(id)).toMatchObject({ submitting: 0, queued: 2_000 - written })
    await Promise.all([resume(id), resume(id)])
  }
  await sending.waitForCounters(id, { delivered: 2_000 })
  expect(phonesSentTo()).toHaveLength(2_000)
})

test('a cancel of a paused message cancels its queued rows, and gateways release its chunks', async () => {
  sending = await startSending({ latencyMs: 40, window: 20 })
  await sending.startGateway()
  await fill(2_000)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 50)
  await pause(id)
  const written = sending.raw().length
  await cancelMessage(sending.rt, sending.list.id, id)
  await sending.waitForCounters(id, { delivered: written, cancelled: 2_000 - written })
  await waitFor(
    async () => {
      const open = 'select from send_chunks where message_id = $1 and done_at is null'
      return (await sending.db.exec('open_chunks', open, [id])) === 0
    },
    { timeoutMs: 5_000 },
  )
  await expect(resume(id)).rejects.toThrow('Message is cancelled and cannot be resumed')
})

test('a paused message ends at its deadline, and its queued rows are suppressed', async () => {
  sending = await startSending({ latencyMs: 40, window: 20 })
  await sending.startGateway()
  await fill(1_000)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 50)
  await pause(id)
  const written = sending.raw().length
  await sending.db.exec('set_deadline', 'update messages set deliver_by = now() where id = $1', [id])
  await sending.waitForCounters(id, { delivered: written, suppressed: 1_000 - written })
  const sql = 'select status, paused_at from messages where id = $1'
  await waitFor(async () => (await sending.db.one<{ status: string }>('status_of', sql, [id])).status === 'sent')
  expect(await sending.db.one('status_of', sql, [id])).toEqual({ status: 'sent', paused_at: null })
  await expect(pause(id)).rejects.toThrow('Message is sent and cannot be paused')
})
