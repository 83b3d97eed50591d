import { expect, test } from 'vitest'
import { FairShare } from './fair-share.ts'

const chunk = (accountId: number, messageId: number, id = messageId) => ({ accountId, messageId, id })

/** Counts this many batches of 100 texts, each for the chunk that is next, and returns the number of batches per message. */
function countBatches(fairShare: FairShare, chunks: Array<ReturnType<typeof chunk>>, batches: number) {
  const byMessage: Record<number, number> = {}
  for (let n = 0; n < batches; n++) {
    const next = chunks.toSorted((a, b) => fairShare.compare(a, b))[0]
    if (!next) break
    fairShare.count(next, 100)
    byMessage[next.messageId] = (byMessage[next.messageId] ?? 0) + 1
  }
  return byMessage
}

test('broadcasts of one account share equally', () => {
  const fairShare = new FairShare()
  const chunks = [chunk(1, 1), chunk(1, 2), chunk(1, 3)]
  fairShare.setBroadcasts(chunks)
  expect(countBatches(fairShare, chunks, 30)).toEqual({ 1: 10, 2: 10, 3: 10 })
})

test('accounts share equally, whatever the number of their broadcasts', () => {
  const fairShare = new FairShare()
  const chunks = [chunk(1, 1), chunk(1, 2), chunk(1, 3), chunk(2, 4)]
  fairShare.setBroadcasts(chunks)
  expect(countBatches(fairShare, chunks, 30)).toEqual({ 1: 5, 2: 5, 3: 5, 4: 15 })
})

test('a later broadcast starts immediately and does not catch up', () => {
  const fairShare = new FairShare()
  const first = [chunk(1, 1)]
  fairShare.setBroadcasts(first)
  countBatches(fairShare, first, 50)
  const both = [...first, chunk(1, 2)]
  fairShare.setBroadcasts(both)
  expect(countBatches(fairShare, both, 10)).toEqual({ 1: 5, 2: 5 })
  const three = [...both, chunk(2, 3)]
  fairShare.setBroadcasts(three)
  expect(countBatches(fairShare, three, 20)).toEqual({ 1: 5, 2: 5, 3: 10 })
})

test('chunks of one broadcast are in the order of their ids', () => {
  const fairShare = new FairShare()
  const chunks = [chunk(1, 1, 8), chunk(1, 1, 7)]
  fairShare.setBroadcasts(chunks)
  expect(chunks.toSorted((a, b) => fairShare.compare(a, b)).map(({ id }) => id)).toEqual([7, 8])
})
