import pg from 'pg'
import { expect, test } from 'vitest'
import { BatchedRead } from './batched-read.ts'

/** A read whose statements end when the test says so. */
function heldRead(options?: { maxRunning?: number; maxKeys?: number }) {
  const statements: { keys: string[]; resolve(): void; reject(error: unknown): void }[] = []
  const read = new BatchedRead<string, string>((keys) => {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>()
    statements.push({ keys, resolve: () => resolve(keys.map((key) => key.toUpperCase())), reject })
    return promise
  }, options)
  return { read: (key: string) => read.read(key), statements, keys: () => statements.map(({ keys }) => keys) }
}

const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))

test('keys of one turn share a statement, and each caller gets the row of its own key', async () => {
  const { read, statements, keys } = heldRead()
  const results = Promise.all([read('a'), read('b'), read('a')])
  await turn()
  expect(keys()).toEqual([['a', 'b', 'a']])
  statements[0]?.resolve()
  expect(await results).toEqual(['A', 'B', 'A'])
})

test('a key never joins a statement that has started', async () => {
  const { read, statements, keys } = heldRead({ maxRunning: 1 })
  const first = read('a')
  await turn()
  const later = [read('a'), read('b')]
  await turn()
  expect(keys()).toEqual([['a']])
  statements[0]?.resolve()
  expect(await first).toBe('A')
  await turn()
  expect(keys()).toEqual([['a'], ['a', 'b']])
  statements[1]?.resolve()
  expect(await Promise.all(later)).toEqual(['A', 'B'])
})

test('at most maxRunning statements run, with at most maxKeys keys each', async () => {
  const { read, statements, keys } = heldRead({ maxRunning: 2, maxKeys: 2 })
  const results = Promise.all(['a', 'b', 'c', 'd', 'e'].map(read))
  await turn()
  expect(keys()).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ])
  statements[0]?.resolve()
  await turn()
  expect(keys()[2]).toEqual(['e'])
  for (const { resolve } of statements) resolve()
  expect(await results).toEqual(['A', 'B', 'C', 'D', 'E'])
})

test('a key that makes the statement fail fails alone', async () => {
  const { read, statements, keys } = heldRead()
  const results = Promise.allSettled([read('good'), read('bad')])
  await turn()
  statements[0]?.reject(new Error('invalid byte sequence'))
  await turn()
  statements[1]?.resolve()
  await turn()
  statements[2]?.reject(new Error('invalid byte sequence: bad'))
  expect(await results).toEqual([
    { status: 'fulfilled', value: 'GOOD' },
    { status: 'rejected', reason: new Error('invalid byte sequence: bad') },
  ])
  expect(keys()).toEqual([['good', 'bad'], ['good'], ['bad']])
})

test('while the database is away all keys of the statement fail, without a retry of each', async () => {
  const { read, statements } = heldRead()
  const results = Promise.allSettled([read('a'), read('b')])
  await turn()
  const away = new pg.DatabaseError('terminating connection', 0, 'error')
  away.code = '57P01'
  statements[0]?.reject(away)
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(statements).toHaveLength(1)
})
