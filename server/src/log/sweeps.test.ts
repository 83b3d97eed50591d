import { expect, test } from 'vitest'
import { eachMessage } from './sweeps.ts'

const unreachable = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

function sweepOf(apply: (messageId: number) => Promise<unknown>) {
  const tried: number[] = []
  const round = eachMessage({
    find: async (_: unknown, except: number[]) =>
      [1, 2, 3].filter((id) => !except.includes(id)).map((messageId) => ({ messageId })),
    apply: (_, { messageId }) => {
      tried.push(messageId)
      return apply(messageId)
    },
  })
  return { tried, round }
}

test('processes the other messages after one fails, and skips it in the next round', async () => {
  const { tried, round } = sweepOf(async (id) => {
    if (id === 1) throw new Error('broken')
  })
  const failed = new Set<number>()
  await expect(round({}, failed)).rejects.toThrow('broken')
  expect(tried).toEqual([1, 2, 3])
  expect(await round({}, failed)).toBe(2)
  expect(tried).toEqual([1, 2, 3, 2, 3])
})

test('ends the round when the database is unreachable, without marking a message as failed', async () => {
  const { tried, round } = sweepOf(async () => {
    throw unreachable
  })
  const failed = new Set<number>()
  await expect(round({}, failed)).rejects.toThrow(unreachable)
  expect(tried).toEqual([1])
  expect(failed.size).toBe(0)
})

test('retries failed messages when no other message has work', async () => {
  const { round } = sweepOf(async () => {
    throw new Error('broken')
  })
  const failed = new Set<number>()
  await expect(round({}, failed)).rejects.toThrow('broken')
  expect(failed.size).toBe(3)
  expect(await round({}, failed)).toBe(0)
  await expect(round({}, failed)).rejects.toThrow('broken')
})
