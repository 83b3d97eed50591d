import { expect, test } from 'vitest'
import { UploadGate } from './upload-gate.ts'

const options = { total: 2, perParty: 2, maxWaiting: 1, maxWaitMs: 60_000, leavesRoom: true }
const stays = new AbortController().signal

/** Returns a gate, a function that enters it and returns the error or the result, and the ends of those that are inside. */
function makeGate(given: Partial<typeof options> = {}) {
  const gate = new UploadGate({ ...options, ...given })
  const inside: (() => void)[] = []
  const enter = (accountId: number, gone = stays) =>
    gate
      .run(accountId, gone, () => new Promise<string>((end) => inside.push(() => end('done'))))
      .catch((error) => error)
  return { inside, enter }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('one account does not get all places, and its next upload starts when one has ended', async () => {
  const { inside, enter } = makeGate()
  const first = enter(1)
  const second = enter(1)
  void enter(2)
  await settled()
  expect(inside).toHaveLength(2)
  inside[0]?.()
  expect(await first).toBe('done')
  inside[1]?.()
  await settled()
  expect(inside).toHaveLength(3)
  inside[2]?.()
  expect(await second).toBe('done')
})

test('an upload gets a 503 if it waits too long, or if too many of its account wait', async () => {
  const { enter } = makeGate({ maxWaitMs: 20 })
  void enter(1)
  const waiting = enter(1)
  const busy = { status: 503, code: 'uploads_busy', retryAfterS: 1 }
  expect(await enter(1)).toMatchObject(busy)
  expect(await waiting).toMatchObject(busy)
})

test('a client that leaves while it waits frees its turn, and work that fails its place', async () => {
  const { inside, enter } = makeGate()
  const gone = new AbortController()
  void enter(1)
  const waiting = enter(1, gone.signal)
  const left = new Error('left')
  gone.abort(left)
  expect(await waiting).toBe(left)
  const next = enter(1)
  await settled()
  inside[0]?.()
  await settled()
  inside[1]?.()
  expect(await next).toBe('done')

  const gate = new UploadGate({ ...options, total: 1 })
  for (let n = 0; n < 2; n++) {
    await expect(gate.run(1, stays, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  }
})
