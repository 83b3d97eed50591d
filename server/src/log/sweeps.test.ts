import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { isDatabaseLost } from '../db/probe.ts'
import { eachMessage, manyMessages, type SweepRt } from './sweeps.ts'

const unreachable = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
const brokenPipe = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })

let database: TestDatabase
const rt = () => makeRuntime({ db: database.db })
/** A runtime whose database responds to nothing. */
const unreachableRt = () => makeRuntime({ db: { ...database.db, one: () => Promise.reject(unreachable) } })

beforeEach(async () => {
  database = await freshDatabase()
})
afterEach(() => database.close())

function sweepOf(apply: (messageId: number) => Promise<unknown>) {
  const tried: number[] = []
  const round = eachMessage<SweepRt, { messageId: number }>({
    sweep: 'cancel',
    find: async (_, only) => [1, 2, 3].filter((id) => only === null || id === only).map((messageId) => ({ messageId })),
    apply: (_, { messageId }) => {
      tried.push(messageId)
      return apply(messageId)
    },
  })
  return { tried, round }
}

test.each([
  ['an error', new Error('broken')],
  ['an error of its session, while the database responds', brokenPipe],
])('a round processes the other messages after %s of one', async (_, error) => {
  const { tried, round } = sweepOf(async (id) => {
    if (id === 1) throw error
  })
  expect(await round(rt())).toBe(2)
  expect(tried).toEqual([1, 2, 3])
  expect(await round(rt(), 2)).toBe(1)
  expect(tried).toEqual([1, 2, 3, 2])
})

test('a round ends when the database is unreachable', async () => {
  const { tried, round } = sweepOf(async () => {
    throw brokenPipe
  })
  await expect(round(unreachableRt())).rejects.toThrow(brokenPipe)
  expect(tried).toEqual([1])
})

test.each([
  ['the database responds', rt, [null, 1, 2, 3]],
  ['the database is unreachable', unreachableRt, [null]],
] as const)('a round of many messages, after an error of their session, when %s', async (_, runtime, expected) => {
  const tried: (number | null)[] = []
  const round = manyMessages<SweepRt>({
    sweep: 'bill',
    async work(_rt, only, claimed) {
      tried.push(only)
      claimed([1, 2, 3])
      if (only === null || only === 1) throw brokenPipe
      return true
    },
  })
  const ended = round(runtime())
  if (expected.length > 1) expect(await ended).toBe(true)
  else await expect(ended).rejects.toThrow(brokenPipe)
  expect(tried).toEqual(expected)
})

test('a database that does not respond in time is unavailable, and other errors need no response', async () => {
  const silent = { ...database.db, one: () => new Promise<never>(() => {}) }
  expect(await isDatabaseLost(silent, brokenPipe, 10)).toBe(true)
  expect(await isDatabaseLost(silent, new Error('broken'), 10)).toBe(false)
  expect(await isDatabaseLost(database.db, brokenPipe)).toBe(false)
})
