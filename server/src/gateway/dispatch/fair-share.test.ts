import { expect, test } from 'vitest'
import { FairShare } from './fair-share.ts'

const place = (accountId: number, messageId: number, id = messageId) => ({ accountId, messageId, id })

/** Serves so many times, 100 texts each, and counts them by message. */
function serve(fairShare: FairShare, places: Array<ReturnType<typeof place>>, times: number) {
  const served: Record<number, number> = {}
  for (let n = 0; n < times; n++) {
    const next = places.toSorted((a, b) => fairShare.compare(a, b))[0]
    if (!next) break
    fairShare.count(next, 100)
    served[next.messageId] = (served[next.messageId] ?? 0) + 1
  }
  return served
}

test('broadcasts of one account share evenly', () => {
  const fairShare = new FairShare()
  const places = [place(1, 1), place(1, 2), place(1, 3)]
  fairShare.follow(places)
  expect(serve(fairShare, places, 30)).toEqual({ 1: 10, 2: 10, 3: 10 })
})

test('accounts share evenly, however many broadcasts each has', () => {
  const fairShare = new FairShare()
  const places = [place(1, 1), place(1, 2), place(1, 3), place(2, 4)]
  fairShare.follow(places)
  expect(serve(fairShare, places, 30)).toEqual({ 1: 5, 2: 5, 3: 5, 4: 15 })
})

test('a later broadcast gets no compensation, and does not wait', () => {
  const fairShare = new FairShare()
  const first = [place(1, 1)]
  fairShare.follow(first)
  serve(fairShare, first, 50)
  const both = [...first, place(1, 2)]
  fairShare.follow(both)
  expect(serve(fairShare, both, 10)).toEqual({ 1: 5, 2: 5 })
  const three = [...both, place(2, 3)]
  fairShare.follow(three)
  expect(serve(fairShare, three, 20)).toEqual({ 1: 5, 2: 5, 3: 10 })
})

test('chunks of one broadcast go out in their order', () => {
  const fairShare = new FairShare()
  const places = [place(1, 1, 8), place(1, 1, 7)]
  fairShare.follow(places)
  expect(places.toSorted((a, b) => fairShare.compare(a, b)).map(({ id }) => id)).toEqual([7, 8])
})
