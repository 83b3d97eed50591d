import { expect, test } from 'vitest'
import { waitFor } from '../../test/wait-for.ts'
import { Batcher } from './batcher.ts'

/** Makes a batcher with writes that the test ends. */
function makeBatcher(options: { size?: number; writers?: number } = {}) {
  const writes: Array<{ batch: number[]; end: (error?: Error) => void }> = []
  const failures: unknown[] = []
  const batcher = new Batcher<number>({
    size: options.size ?? 3,
    maxDelayMs: 1,
    writers: () => options.writers ?? 1,
    write: (batch) =>
      new Promise((resolve, reject) => {
        writes.push({ batch: [...batch], end: (error) => (error ? reject(error) : resolve()) })
      }),
    onFailure: (error) => failures.push(error),
  })
  return { batcher, writes, failures }
}

test('a full batch is written immediately, a smaller one after the maximum delay', async () => {
  const { batcher, writes } = makeBatcher()
  for (const n of [1, 2, 3]) batcher.add(n)
  expect(writes.map((write) => write.batch)).toEqual([[1, 2, 3]])
  batcher.add(4)
  expect(writes).toHaveLength(1)
  writes[0]?.end()
  await waitFor(() => writes.length === 2)
  expect(writes[1]?.batch).toEqual([4])
})

test('at most `writers` writes run concurrently', async () => {
  const { batcher, writes } = makeBatcher({ size: 1, writers: 2 })
  for (const n of [1, 2, 3]) batcher.add(n)
  expect(writes).toHaveLength(2)
  writes[1]?.end()
  await waitFor(() => writes.length === 3)
})

test('a failed batch is retried, and one writer writes later entries after it', async () => {
  const { batcher, writes, failures } = makeBatcher({ size: 1 })
  batcher.add(1)
  batcher.add(2)
  writes[0]?.end(new Error('unavailable'))
  await waitFor(() => writes.length === 2)
  expect(writes[1]?.batch).toEqual([1])
  expect(failures).toHaveLength(1)
  writes[1]?.end()
  await waitFor(() => writes.length === 3)
  expect(writes[2]?.batch).toEqual([2])
})

test('flushed() waits for all entries that were added before the call, in any order of writes', async () => {
  const { batcher, writes } = makeBatcher({ size: 1, writers: 2 })
  batcher.add(1)
  batcher.add(2)
  let flushed = false
  const done = batcher.flushed().then(() => {
    flushed = true
  })
  batcher.add(3)
  writes[1]?.end()
  await waitFor(() => writes.length === 3)
  expect(flushed).toBe(false)
  writes[0]?.end()
  await done
  expect(batcher.pending).toBe(1)
  writes[2]?.end()
  await batcher.flushed()
  expect(batcher.pending).toBe(0)
})

test('an entry with a permanent error is dropped, and all others are written', async () => {
  const written: number[][] = []
  const dropped: number[] = []
  const batcher = new Batcher<number>({
    size: 5,
    maxDelayMs: 1,
    writers: () => 1,
    async write(batch) {
      if (batch.includes(3)) throw new RangeError('permanent')
      written.push(batch)
    },
    onFailure: () => {},
    isPermanent: (error) => error instanceof RangeError,
    onDropped: (entry) => dropped.push(entry),
  })
  for (const n of [1, 2, 3, 4, 5, 6]) batcher.add(n)
  await batcher.flushed()
  expect(written.flat()).toEqual([1, 2, 4, 5, 6])
  expect(dropped).toEqual([3])
})

test('an entry that keeps failing, while others do not, delays neither the others nor a flush', async () => {
  const written: number[] = []
  let isOutage = true
  const asked: unknown[] = []
  const broken = new Error('broken row')
  const batcher = new Batcher<number>({
    size: 5,
    maxDelayMs: 1,
    writers: () => 1,
    async write(batch) {
      if (batch.includes(3)) throw broken
      written.push(...batch)
    },
    onFailure: () => {},
    async isOwn(error) {
      asked.push(error)
      return !isOutage
    },
  })
  for (const n of [1, 2, 3, 4, 5, 6]) batcher.add(n)
  await waitFor(() => asked.length > 0)
  expect(asked).toEqual([broken])
  expect(written).toEqual([])
  isOutage = false
  await batcher.flushed()
  expect(written).toEqual([1, 2, 4, 5, 6])
})
