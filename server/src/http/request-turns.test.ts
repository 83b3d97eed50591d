import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { perTurn, RequestTurns } from './request-turns.ts'

test('starts a number of requests at once, and as many in each further turn', async () => {
  const turns = new RequestTurns()
  let started = 0
  for (let n = 0; n < 2.5 * perTurn; n++) turns.add('a', [], () => started++)
  expect(started).toBe(perTurn)
  await turn()
  expect(started).toBe(2 * perTurn)
  await turn()
  expect(started).toBe(2.5 * perTurn)
})

test('addresses take turns, and the last socket of an address is first', async () => {
  const turns = new RequestTurns()
  const started: string[] = []
  for (let n = 0; n < perTurn; n++) turns.add('first', [], () => {})
  for (let n = 0; n < 2 * perTurn; n++) turns.add('a', [], () => started.push(`a${n}`))
  for (const name of ['b0', 'c0', 'b1']) turns.add(name.charAt(0), [], () => started.push(name))
  await turn()
  expect(started.slice(0, 7)).toEqual(['a199', 'b1', 'c0', 'a198', 'b0', 'a197', 'a196'])
  for (let n = 0; n < 5; n++) await turn()
  expect(new Set(started).size).toBe(2 * perTurn + 3)
})

test('the requests of a socket keep their order', async () => {
  const turns = new RequestTurns()
  const started: number[] = []
  const socket: (() => void)[] = []
  for (let n = 0; n < perTurn; n++) turns.add('a', [], () => {})
  for (let n = 0; n < 20; n++) turns.add('a', socket, () => started.push(n))
  turns.add('a', [], () => started.push(100))
  for (let n = 0; n < 4; n++) await turn()
  expect(started).toEqual([100, ...Array.from({ length: 20 }, (_, n) => n)])
})

test('a request that comes alone does not wait', async () => {
  const turns = new RequestTurns()
  for (let n = 0; n < 2 * perTurn; n++) {
    let isStarted = false
    turns.add('a', [], () => (isStarted = true))
    expect(isStarted).toBe(true)
    await turn()
  }
})
