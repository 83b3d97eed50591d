import { expect, test } from 'vitest'
import { Turns } from './fair-share.ts'

const place = (accountId: number, messageId: number, id = messageId) => ({ accountId, messageId, id })

/** Serves so many times, 100 texts each, and counts them by message. */
function serve(turns: Turns, places: Array<ReturnType<typeof place>>, times: number) {
  const served: Record<number, number> = {}
  for (let n = 0; n < times; n++) {
    const next = places.toSorted((a, b) => turns.compare(a, b))[0]
    if (!next) break
    turns.count(next, 100)
    served[next.messageId] = (served[next.messageId] ?? 0) + 1
  }
  return served
}

test('broadcasts of one account share evenly', () => {
  const turns = new Turns()
  const places = [place(1, 1), place(1, 2), place(1, 3)]
  turns.follow(places)
  expect(serve(turns, places, 30)).toEqual({ 1: 10, 2: 10, 3: 10 })
})

test('accounts share evenly, however many broadcasts each has', () => {
  const turns = new Turns()
  const places = [place(1, 1), place(1, 2), place(1, 3), place(2, 4)]
  turns.follow(places)
  expect(serve(turns, places, 30)).toEqual({ 1: 5, 2: 5, 3: 5, 4: 15 })
})

test('one that comes later has nothing to make up for, and waits for nobody', () => {
  const turns = new Turns()
  const first = [place(1, 1)]
  turns.follow(first)
  serve(turns, first, 50)
  const both = [...first, place(1, 2)]
  turns.follow(both)
  expect(serve(turns, both, 10)).toEqual({ 1: 5, 2: 5 })
  const three = [...both, place(2, 3)]
  turns.follow(three)
  expect(serve(turns, three, 20)).toEqual({ 1: 5, 2: 5, 3: 10 })
})

test('chunks of one broadcast go out in their order', () => {
  const turns = new Turns()
  const places = [place(1, 1, 8), place(1, 1, 7)]
  turns.follow(places)
  expect(places.toSorted((a, b) => turns.compare(a, b)).map(({ id }) => id)).toEqual([7, 8])
})
