import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { expect, test } from 'vitest'
import { BatchedRead } from './batched-read.ts'

/** Returns a batched read with statements that the test resolves or rejects. */
function makeManualRead(options?: { maxRunning?: number; maxKeys?: number }) {
  const statements: { keys: string[]; resolve(): void; reject(error: unknown): void }[] = []
  const read = new BatchedRead<string, string>((keys) => {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>()
    statements.push({ keys, resolve: () => resolve(keys.map((key) => key.toUpperCase())), reject })
    return promise
  }, options)
  return { read: (key: string) => read.read(key), statements, keys: () => statements.map(({ keys }) => keys) }
}

const endOfTurn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))

test('keys of one turn of the event loop share a statement, and each caller gets the row of its own key', async () => {
  const { read, statements, keys } = makeManualRead()
  const results = Promise.all([read('a'), read('b'), read('a')])
  await endOfTurn()
  expect(keys()).toEqual([['a', 'b', 'a']])
  statements[0]?.resolve()
  expect(await results).toEqual(['A', 'B', 'A'])
})

test('a key is never added to a statement that has started', async () => {
  const { read, statements, keys } = makeManualRead({ maxRunning: 1 })
  const first = read('a')
  await endOfTurn()
  const later = [read('a'), read('b')]
  await endOfTurn()
  expect(keys()).toEqual([['a']])
  statements[0]?.resolve()
  expect(await first).toBe('A')
  await endOfTurn()
  expect(keys()).toEqual([['a'], ['a', 'b']])
  statements[1]?.resolve()
  expect(await Promise.all(later)).toEqual(['A', 'B'])
})

test('statements run outside of the context of the callers', async () => {
  const context = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  const batched = new BatchedRead<string, string>(async (keys) => {
    seen.push(context.getStore())
    return keys
  })
  await context.run('a transaction', async () => {
    // the second one waits for the first, and starts when it has ended
    await Promise.all([batched.read('a'), endOfTurn().then(() => batched.read('b'))])
  })
  expect(seen).toEqual([undefined, undefined])
})

test('at most maxRunning statements run, with at most maxKeys keys each', async () => {
  const { read, statements, keys } = makeManualRead({ maxRunning: 2, maxKeys: 2 })
  const results = Promise.all(['a', 'b', 'c', 'd', 'e'].map(read))
  await endOfTurn()
  expect(keys()).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ])
  statements[0]?.resolve()
  await endOfTurn()
  expect(keys()[2]).toEqual(['e'])
  for (const { resolve } of statements) resolve()
  expect(await results).toEqual(['A', 'B', 'C', 'D', 'E'])
})

test('a key with an error does not fail the other keys of its statement', async () => {
  const { read, statements, keys } = makeManualRead()
  const results = Promise.allSettled([read('good'), read('bad')])
  await endOfTurn()
  statements[0]?.reject(new Error('invalid byte sequence'))
  await endOfTurn()
  statements[1]?.resolve()
  await endOfTurn()
  statements[2]?.reject(new Error('invalid byte sequence: bad'))
  expect(await results).toEqual([
    { status: 'fulfilled', value: 'GOOD' },
    { status: 'rejected', reason: new Error('invalid byte sequence: bad') },
  ])
  expect(keys()).toEqual([['good', 'bad'], ['good'], ['bad']])
})

test('all keys of a statement fail, without a retry of each, while the database is unavailable', async () => {
  const { read, statements } = makeManualRead()
  const results = Promise.allSettled([read('a'), read('b')])
  await endOfTurn()
  const unavailable = new pg.DatabaseError('terminating connection', 0, 'error')
  unavailable.code = '57P01'
  statements[0]?.reject(unavailable)
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(statements).toHaveLength(1)
})
