import { Readable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { type BodyPace, readSteadily } from './steady-body.ts'

const pace: BodyPace = { graceMs: 150, bytesPerSecond: 1_000, maxMs: 60_000 }
const stalled = new Error('stalled')

const senders: NodeJS.Timeout[] = []
afterEach(() => {
  for (const sender of senders.splice(0)) clearInterval(sender)
})

/** Returns a body whose client sends so many bytes every few milliseconds, and ends after `count` times. */
function bodyOf(bytes: number, everyMs: number, count: number): Readable {
  const body = new Readable({ read() {} })
  let sent = 0
  const sender = setInterval(() => {
    body.push(Buffer.alloc(bytes))
    if (++sent < count) return
    body.push(null)
    clearInterval(sender)
  }, everyMs)
  senders.push(sender)
  return body
}

async function lengthOf(body: Readable, given: Partial<BodyPace> = {}): Promise<number> {
  let length = 0
  for await (const chunk of readSteadily(body, { ...pace, ...given }, () => stalled)) length += chunk.length
  return length
}

test('a body that is faster than the minimum rate is read to its end, although it takes longer than the grace', async () => {
  const startedAt = performance.now()
  expect(await lengthOf(bodyOf(500, 5, 60))).toBe(30_000)
  expect(performance.now() - startedAt).toBeGreaterThan(pace.graceMs)
})

test('a body that drips ends when its pauses add up to the grace, and is not destroyed', async () => {
  const body = bodyOf(1, 5, 10_000)
  await expect(lengthOf(body)).rejects.toBe(stalled)
  expect(body.destroyed).toBe(false)
})

test('a body that arrives in many small chunks ends, too, if they are too few bytes', async () => {
  await expect(lengthOf(bodyOf(1, 1, 10_000), { bytesPerSecond: 5_000 })).rejects.toBe(stalled)
})

test('a client cannot save up time by sending fast at first', async () => {
  const body = bodyOf(1, 5, 10_000)
  body.push(Buffer.alloc(1_000_000))
  await expect(lengthOf(body)).rejects.toBe(stalled)
})

test('a body ends after its time limit, however fast it is', async () => {
  await expect(lengthOf(bodyOf(10_000, 1, 1_000_000), { maxMs: 100 })).rejects.toBe(stalled)
})

test('the time that the consumer takes does not count', async () => {
  const body = Readable.from([Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1)])
  let chunks = 0
  for await (const _chunk of readSteadily(body, { ...pace, graceMs: 100 }, () => stalled)) {
    chunks++
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
  expect(chunks).toBe(3)
})

test('a consumer that stops early leaves the body readable', async () => {
  const body = bodyOf(10, 1, 5)
  for await (const _chunk of readSteadily(body, pace, () => stalled)) break
  expect(body.destroyed).toBe(false)
  let rest = 0
  for await (const chunk of body) rest += chunk.length
  expect(rest).toBe(40)
})
