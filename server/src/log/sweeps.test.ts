import { expect, test } from 'vitest'
import { eachMessage } from './sweeps.ts'

const away = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

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

test('a message that fails does not hold up the others, and is skipped in the next round', async () => {
  const { tried, round } = sweepOf(async (id) => {
    if (id === 1) throw new Error('broken')
  })
  const failed = new Set<number>()
  await expect(round({}, failed)).rejects.toThrow('broken')
  expect(tried).toEqual([1, 2, 3])
  expect(await round({}, failed)).toBe(2)
  expect(tried).toEqual([1, 2, 3, 2, 3])
})

test('no further message is tried when the database is away, and none counts as failed', async () => {
  const { tried, round } = sweepOf(async () => {
    throw away
  })
  const failed = new Set<number>()
  await expect(round({}, failed)).rejects.toThrow(away)
  expect(tried).toEqual([1])
  expect(failed.size).toBe(0)
})

test('messages that failed are tried again when there is nothing else', async () => {
  const { round } = sweepOf(async () => {
    throw new Error('broken')
  })
  const failed = new Set<number>()
  await expect(round({}, failed)).rejects.toThrow('broken')
  expect(failed.size).toBe(3)
  expect(await round({}, failed)).toBe(0)
  await expect(round({}, failed)).rejects.toThrow('broken')
})
