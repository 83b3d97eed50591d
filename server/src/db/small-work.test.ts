import { expect, test } from 'vitest'
import type { Db } from './db.ts'
import { SmallWork } from './small-work.ts'

// The databases are only handed on, so their names suffice.

const usual = 'usual' as unknown as Db
const low = 'low' as unknown as Db
const dbOf = async (db: Db) => db

/** Returns small work with one place, and functions that do work of an account for some time, and let time pass. */
function world() {
  let now = 1_000_000
  const work = new SmallWork(usual, 1, () => now)
  const after = (ms: number) => {
    now += ms
  }
  const take = (account: number, ms: number) =>
    work.run(account, low, async (db) => {
      after(ms)
      return db
    })
  return { work, take, after }
}

test('work is small until its account has used a quarter of a second', async () => {
  const { take } = world()
  expect(await take(1, 200)).toBe(usual)
  expect(await take(1, 100)).toBe(usual)
  expect(await take(1, 10)).toBe(low)
  expect(await take(2, 10)).toBe(usual)
})

test('work of an account is small again some seconds later, however long the earlier work took', async () => {
  const { take, after } = world()
  await take(1, 260)
  expect(await take(1, 1)).toBe(low)
  after(1_000)
  expect(await take(1, 0)).toBe(usual)
  await take(1, 60_000)
  after(10_000)
  expect(await take(1, 0)).toBe(low)
  after(10_000)
  expect(await take(1, 0)).toBe(usual)
})

test('small work beyond the places has the low priority, and errors release a place', async () => {
  const { work } = world()
  const inside = await work.run(1, low, () => work.run(2, low, dbOf))
  expect(inside).toBe(low)
  const failure = work.run(1, low, async () => {
    throw new Error('a failed turn')
  })
  await expect(failure).rejects.toThrow('a failed turn')
  expect(await work.run(1, low, dbOf)).toBe(usual)
})

test('an account with recent work is not forgotten when there are many', async () => {
  const { work, take, after } = world()
  await take(0, 900)
  after(2_000)
  for (let account = 1; account <= 1_200; account++) await work.run(account, low, dbOf)
  expect(await take(0, 0)).toBe(low)
})
