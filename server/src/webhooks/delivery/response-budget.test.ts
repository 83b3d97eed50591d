import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import type { LoggedResponse } from './logged-exchange.ts'
import { maxStoredBytes, ResponseBudget, smallBytes } from './response-budget.ts'
import type { DeliveryAttempt } from './results.queries.ts'

const hourMs = 3_600_000

const attemptWith = (response: LoggedResponse | null, accountId = 1): DeliveryAttempt => ({
  delivery: {
    ...{ id: 1, round: 0, position: 1, type: 'subscribe', phone: null, isTest: false },
    accountId,
    endpointId: 7,
  },
  ...{ revision: 0, attempt: 1, outcome: 'failed', retryAt: start, pauseMs: 0, startedAt: start, durationMs: 5 },
  ...{ request: { url: null, headers: {} }, status: 500, error: null, response },
})

const large: LoggedResponse = { headers: { server: 'cedar' }, body: Buffer.alloc(65_536, 'x') }
const countOfAll = Math.floor(maxStoredBytes / (65_536 + '{"server":"cedar"}'.length))

describe('a budget of responses', () => {
  test('stores all of them up to its bytes, then the beginning of each, of each account alone, and again after an hour', () => {
    const budget = new ResponseBudget()
    const sizes = (count: number, nowMs: number, accountId = 1) =>
      Array.from({ length: count }, () => budget.limit(attemptWith(large, accountId), nowMs).response?.body.length)
    const all = Array(countOfAll).fill(65_536)
    expect(sizes(countOfAll + 2, 0)).toEqual([...all, smallBytes, smallBytes])
    expect(sizes(1, 0, 2)).toEqual([65_536])
    expect(sizes(1, hourMs - 1)).toEqual([smallBytes])
    expect(sizes(countOfAll + 1, hourMs)).toEqual([...all, smallBytes])
  })

  test('is not used by small responses, which are always stored, and cuts many headers', () => {
    const budget = new ResponseBudget()
    for (let n = 0; n < countOfAll + 1; n++) budget.limit(attemptWith(large), 0)
    const small = attemptWith({ headers: { server: 'cedar' }, body: Buffer.alloc(smallBytes, 'x') })
    expect(budget.limit(small, 0)).toBe(small)
    expect(budget.limit(attemptWith(null), 0).response).toBeNull()
    const headers = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`x-${n}`, 'ä'.repeat(200)]))
    const many = attemptWith({ headers, body: Buffer.from('no') })
    // the first ones have room behind the last large one
    const limited = Array.from({ length: 6 }, () => budget.limit(many, 0).response)
    const cut = limited.at(-1)
    expect(Object.keys(cut?.headers ?? {})).toEqual(['x-0', 'x-1'])
    expect(cut?.body.toString()).toBe('no')

    const other = new ResponseBudget()
    for (let n = 0; n < 10_000; n++) other.limit(small, 0)
    expect(other.limit(attemptWith(large), 0).response?.body).toHaveLength(65_536)
  })
})

const world = useWebhooks()

test('failures of many endpoints of one account store no more than its bytes, and the beginning of the others', async () => {
  const count = 80
  const failing = await world.receiverOf((res) => void res.writeHead(500).end(Buffer.alloc(60_000, 'x')))
  const list = await world.listWithMany(count, failing.url)
  await world.optIn(list, phones(1))
  await world.newDispatcher().round()
  await waitFor(async () => (await world.attemptsOf()).length === count)
  const stored = await world.db.one<{ bytes: number; least: number; most: number }>(
    'stored',
    `select sum(length(response)) as bytes, min(length(response)) as least, max(length(response)) as most from delivery_attempts`,
  )
  expect(stored).toMatchObject({ least: smallBytes, most: 60_000 })
  expect(Number(stored.bytes)).toBeLessThanOrEqual(maxStoredBytes + count * smallBytes)
  expect(Number(stored.bytes)).toBeGreaterThan(maxStoredBytes - 60_000)
})
