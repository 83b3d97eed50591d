import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import { readBody } from './body-reader.ts'

const graceMs = 20_000
const reserve = () => true
const stopping = new AbortController().signal

afterEach(() => vi.useRealTimers())

const useFakeTime = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })

async function settled<T>(promise: Promise<T>): Promise<T | Error> {
  return promise.catch((error) => error)
}

test('returns the bytes of all chunks', async () => {
  const body = new PassThrough()
  const read = readBody(body, 0, { bytes: 10, graceMs, reserve, stopping })
  for (const chunk of ['abc', 'def', 'ghij']) body.write(chunk)
  body.end()
  expect(String(await read)).toBe('abcdefghij')
})

test('returns a body that has arrived at once, and reads it to its end', async () => {
  useFakeTime()
  const body = new PassThrough()
  body.end('abcdef')
  const ended = once(body, 'end')
  const reserved: number[] = []
  const limits = { bytes: 10, graceMs, reserve: (bytes: number) => reserved.push(bytes) === 1, stopping }
  const read = readBody(body, 6, limits)
  expect(vi.getTimerCount()).toBe(0)
  expect(String(await read)).toBe('abcdef')
  expect(reserved).toEqual([6])
  await ended
})

test('rejects a body that has arrived, but for which there is not enough memory', async () => {
  const body = new PassThrough()
  body.end('abcdef')
  const read = readBody(body, 6, { bytes: 10, graceMs, reserve: () => false, stopping })
  expect(await settled(read)).toMatchObject({ status: 429, code: 'too_many_bytes_at_once' })
})

test.each([
  ['announced', 11, 0],
  ['sent', 0, 11],
])('rejects a body of which too many bytes are %s', async (_name, announced, sent) => {
  const body = new PassThrough()
  const read = readBody(body, announced, { bytes: 10, graceMs, reserve, stopping })
  body.write('x'.repeat(sent))
  expect(await settled(read)).toMatchObject({ status: 413, code: 'body_too_large' })
  expect(body.destroyed).toBe(false)
})

test('rejects a body for which there is not enough memory', async () => {
  const body = new PassThrough()
  const free = [true, false]
  const read = readBody(body, 0, { bytes: 10, graceMs, reserve: () => free.shift() === true, stopping })
  body.write('abc')
  body.write('def')
  expect(await settled(read)).toMatchObject({ status: 429, code: 'too_many_bytes_at_once' })
})

test('rejects a body that pauses for 20 seconds, whether it has begun or not', async () => {
  useFakeTime()
  for (const begin of ['', 'x']) {
    const body = new PassThrough()
    const read = settled(readBody(body, 100, { bytes: 100, graceMs, reserve, stopping }))
    body.write(begin)
    await vi.advanceTimersByTimeAsync(20_001)
    expect(await read).toMatchObject({ status: 408, code: 'body_too_slow' })
    expect(body.listenerCount('data')).toBe(0)
  }
})

test('rejects a body that drips below 10 KB per second, and accepts one above it', async () => {
  useFakeTime()
  const drip = async (bytesPerSecond: number) => {
    const body = new PassThrough()
    let outcome: unknown
    void settled(readBody(body, 0, { bytes: 1_000_000, graceMs, reserve, stopping })).then((value) => (outcome = value))
    for (let second = 0; second < 60 && outcome === undefined; second++) {
      body.write(Buffer.alloc(bytesPerSecond))
      await vi.advanceTimersByTimeAsync(1_000)
    }
    if (outcome === undefined) body.end()
    await vi.advanceTimersByTimeAsync(1)
    return outcome
  }
  expect(await drip(5_000)).toMatchObject({ status: 408 })
  expect(await drip(11_000)).toHaveLength(660_000)
})

test('rejects a body whose connection closes', async () => {
  const body = new PassThrough()
  const read = settled(readBody(body, 100, { bytes: 100, graceMs, reserve, stopping }))
  body.write('x')
  body.destroy()
  expect(await read).toMatchObject({ status: 400 })
})
