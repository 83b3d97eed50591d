import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { RequestTurns } from './request-turns.ts'

test('starts eight requests at once, and eight in each further turn', async () => {
  const turns = new RequestTurns()
  let started = 0
  for (let n = 0; n < 20; n++) turns.add('a', [], () => started++)
  expect(started).toBe(8)
  await turn()
  expect(started).toBe(16)
  await turn()
  expect(started).toBe(20)
})

test('addresses take turns, and the last socket of an address is first', async () => {
  const turns = new RequestTurns()
  const started: string[] = []
  for (let n = 0; n < 100; n++) turns.add('a', [], () => started.push(`a${n}`))
  for (const name of ['b0', 'c0', 'b1']) turns.add(name.charAt(0), [], () => started.push(name))
  await turn()
  expect(started.slice(8)).toEqual(['a99', 'b1', 'c0', 'a98', 'b0', 'a97', 'a96', 'a95'])
  for (let n = 0; n < 15; n++) await turn()
  expect(new Set(started).size).toBe(103)
})

test('the requests of a socket keep their order', async () => {
  const turns = new RequestTurns()
  const started: number[] = []
  const socket: (() => void)[] = []
  for (let n = 0; n < 8; n++) turns.add('a', [], () => {})
  for (let n = 0; n < 20; n++) turns.add('a', socket, () => started.push(n))
  turns.add('a', [], () => started.push(100))
  for (let n = 0; n < 4; n++) await turn()
  expect(started).toEqual([100, ...Array.from({ length: 20 }, (_, n) => n)])
})

test('a request that comes alone does not wait', async () => {
  const turns = new RequestTurns()
  for (let n = 0; n < 30; n++) {
    let isStarted = false
    turns.add('a', [], () => (isStarted = true))
    expect(isStarted).toBe(true)
    await turn()
  }
})
