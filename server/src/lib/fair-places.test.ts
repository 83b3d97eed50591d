import { expect, test } from 'vitest'
import { FairPlaces } from './fair-places.ts'

const options = { total: 4, perParty: 3, maxWaiting: 5, maxWaitMs: 60_000 }
const open = new AbortController().signal

/** Returns a function that takes a place and records the party when it has it. */
function recorder(places: FairPlaces) {
  const order: number[] = []
  const take = async (party: number, signal = open) => {
    const taken = await places.take(party, signal)
    if (taken) order.push(party)
    return taken
  }
  return { order, take }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a party has at most its places, and leaves the others to others', () => {
  const places = new FairPlaces(options)
  expect([1, 1, 1, 1].map((party) => places.tryTake(party))).toEqual([true, true, true, false])
  expect([places.tryTake(2), places.tryTake(2)]).toEqual([true, false])
})

test('parties that wait take turns, whatever the number of their requests', async () => {
  const places = new FairPlaces({ ...options, total: 2, perParty: 2 })
  const { order, take } = recorder(places)
  await Promise.all([take(1), take(1)])
  for (let n = 0; n < 5; n++) void take(1)
  void take(2)
  void take(3)
  for (const party of [1, 1, 1, 2]) {
    places.release(party)
    await settled()
  }
  expect(order.slice(2)).toEqual([1, 2, 3, 1])
})

test('with room for others, a party never has more places than are free for them', () => {
  const places = new FairPlaces({ ...options, total: 3, leavesRoom: true })
  expect([1, 1, 2, 3].map((party) => places.tryTake(party))).toEqual([true, false, true, true])
})

test('with room for others, a party gets fewer places the more are taken, and one without any gets the last', async () => {
  const places = new FairPlaces({ total: 16, perParty: 8, maxWaiting: 5, maxWaitMs: 60_000, leavesRoom: true })
  const takeAll = (party: number) => {
    let taken = 0
    while (places.tryTake(party)) taken++
    return taken
  }
  expect([1, 2, 3, 4, 5].map(takeAll)).toEqual([8, 4, 2, 1, 1])
  const { order, take } = recorder(places)
  void take(1)
  void take(6)
  places.release(2)
  await settled()
  expect(order).toEqual([6])
})

test('a request waits for a limited time, among a limited number, and not for a client that has gone', async () => {
  const places = new FairPlaces({ total: 1, perParty: 1, maxWaiting: 2, maxWaitMs: 20 })
  const { order, take } = recorder(places)
  expect(await take(1)).toBe(true)
  const client = new AbortController()
  const [late, gone] = [take(1), take(1, client.signal)]
  expect(await take(1)).toBe(false)
  client.abort()
  expect(await gone).toBe(false)
  expect(await late).toBe(false)
  places.release(1)
  expect(await take(2)).toBe(true)
  expect(order).toEqual([1, 2])
})

test('waits that are ended have no place, and the places go to later ones', async () => {
  const places = new FairPlaces(options)
  const { order, take } = recorder(places)
  await Promise.all([take(1), take(1), take(1), take(2)])
  const waits = [take(1), take(1), take(2)]
  places.endWaits()
  expect(await Promise.all(waits)).toEqual([false, false, false])
  const next = take(3)
  places.release(1)
  expect([await next, order]).toEqual([true, [1, 1, 1, 2, 3]])
})
