import { expect, test } from 'vitest'
import { SocketPool } from './socket-pool.ts'

test('the largest owner is known after any changes', () => {
  const pool = new SocketPool<number, string>()
  const expected = new Map<number, string[]>()
  // a fixed sequence in which owners grow and shrink
  for (let n = 0, random = 7; n < 3_000; n++) {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648
    const [owner, member] = [(random >> 4) % 7, `m${(random >> 8) % 40}`]
    const others = (expected.get(owner) ?? []).filter((each) => each !== member)
    if ((random >> 16) % 5 < (n < 1_500 ? 3 : 2)) {
      pool.renew(owner, member)
      expected.set(owner, [...others, member])
    } else {
      pool.remove(owner, member)
      expected.set(owner, others)
    }
    const most = Math.max(...[...expected.values()].map((members) => members.length))
    const largest = [...pool.largest()]
    expect(largest).toHaveLength(most)
    if (most > 0) expect([...expected.values()]).toContainEqual(largest)
    expect(pool.size).toBe([...expected.values()].flat().length)
  }
  for (const [owner, members] of expected) for (const member of members) pool.remove(owner, member)
  expect([pool.size, [...pool.largest()]]).toEqual([0, []])
})

test('with thousands of owners, the largest one is found about as fast as with a few', () => {
  const timeWith = (owners: number) => {
    const pool = new SocketPool<number, number>()
    for (let n = 0; n < owners; n++) pool.renew(n, n)
    const startedAt = performance.now()
    for (let n = 0; n < 3_000; n++) pool.largest()
    return performance.now() - startedAt
  }
  timeWith(10)
  // a search takes about 1,000 times as long
  expect(timeWith(10_000)).toBeLessThan(timeWith(10) * 50 + 5)
})
