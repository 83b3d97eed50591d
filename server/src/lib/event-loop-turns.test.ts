import { expect, test } from 'vitest'
import { beginShortRequest, EventLoopTurns, endShortRequest, waitForLongTurn } from './event-loop-turns.ts'

function workFor(ms: number) {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** Counts the iterations of the event loop until `work` ends. */
async function countIterations(work: Promise<unknown>): Promise<number> {
  let iterations = 0
  let isDone = false
  void work.then(() => (isDone = true))
  while (!isDone) {
    await new Promise(setImmediate)
    iterations++
  }
  return iterations
}

test('short work is not interrupted', async () => {
  let isInterrupted = false
  setImmediate(() => (isInterrupted = true))
  const turns = new EventLoopTurns()
  for (let n = 0; n < 3; n++) await turns.yieldIfDue()
  expect(isInterrupted).toBe(false)
})

test('of several callers with long work, one has a turn per iteration of the event loop', async () => {
  let ended = 0
  const caller = async () => {
    const turns = new EventLoopTurns()
    for (let n = 0; n < 4; n++) {
      workFor(6)
      await turns.yieldIfDue()
    }
    ended++
  }
  const iterations = await countIterations(Promise.all([caller(), caller(), caller()]))
  expect(ended).toBe(3)
  expect(iterations).toBeGreaterThanOrEqual(12)
})

test('a caller with several loops delays the loop of another by one turn', async () => {
  let others = 0
  const loop = async (caller: number, turnCount: number) => {
    const turns = new EventLoopTurns(caller)
    for (let n = 0; n < turnCount; n++) {
      workFor(6)
      if (caller === 1) others++
      await turns.yieldIfDue()
    }
  }
  const many = Array.from({ length: 6 }, () => loop(1, 4))
  others = 0
  await loop(2, 4)
  expect(others).toBeLessThanOrEqual(4)
  await Promise.all(many)
})

test('long work pauses after each turn while short requests are in progress', async () => {
  const from = performance.now()
  const turns = new EventLoopTurns()
  beginShortRequest()
  for (let n = 0; n < 4; n++) {
    workFor(6)
    await turns.yieldIfDue()
  }
  endShortRequest()
  // three pauses of 5 ms, less the millisecond that a timer may be early
  expect(performance.now() - from).toBeGreaterThanOrEqual(4 * 6 + 3 * 4)
})

test('of several callers with work that cannot be interrupted, a short request waits for one or two', async () => {
  let done = 0
  const caller = async () => {
    await waitForLongTurn(1)
    workFor(20)
    done++
  }
  const callers = Promise.all(Array.from({ length: 8 }, caller))
  // a short request takes several iterations of the event loop
  for (let n = 0; n < 4; n++) await new Promise(setImmediate)
  expect(done).toBeLessThanOrEqual(2)
  await callers
  expect(done).toBe(8)
})

test('callers with work that cannot be interrupted take turns, however much one of them has', async () => {
  const order: number[] = []
  const caller = async (account: number) => {
    await waitForLongTurn(account)
    order.push(account)
  }
  await Promise.all([1, 1, 1, 1, 2, 2, 3].map(caller))
  expect(order).toEqual([1, 2, 3, 1, 2, 1, 1])
})

test('the pause after such work is as long as the work', async () => {
  const from = performance.now()
  for (let n = 0; n < 2; n++) {
    await waitForLongTurn(1)
    workFor(30)
  }
  // a timer may be a millisecond early
  expect(performance.now() - from).toBeGreaterThanOrEqual(30 + 29 + 30)
})
