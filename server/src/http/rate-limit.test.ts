import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { readEnv } from '../config/config.ts'
import { SlidingCounter } from './rate-limit.ts'

describe('a sliding counter', () => {
  test('lets a burst pass and then says when the next call is free', () => {
    const counter = new SlidingCounter({ calls: 3, windowMs: 60_000 })
    expect([counter.take(500), counter.take(600), counter.take(30_000)]).toEqual([0, 0, 0])
    expect(counter.take(30_000)).toBe(30_000)
    expect(counter.take(59_999)).toBe(1)
    expect([counter.take(60_000), counter.take(60_000)]).toEqual([0, 0])
    expect(counter.take(60_000)).toBe(30_000)
    expect(counter.take(10_000_000)).toBe(0)
  })

  test('never lets more than the limit into any window, and the wait it tells is enough', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { maxLength: 200 }), (gaps) => {
        const counter = new SlidingCounter({ calls: 5, windowMs: 60_000 })
        const taken: number[] = []
        let now = 0
        for (const gap of gaps) {
          now += gap
          const waitMs = counter.take(now)
          if (waitMs === 0) taken.push(now)
          else if (gap % 3 === 0) {
            now += waitMs
            expect(counter.take(now)).toBe(0)
            taken.push(now)
          }
        }
        // exact to a slot, a sixtieth of the window
        for (const from of taken)
          expect(taken.filter((at) => at >= from && at < from + 59_000).length).toBeLessThanOrEqual(5)
      }),
    )
  })
})

describe('calls', () => {
  const api = useApi({ config: readEnv({ CARILLON_RATE_LIMIT: 'vendor' }) })

  async function burst(sandbox: boolean, calls: number) {
    const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, sandbox })
    const headers = { authorization: basic(key) }
    const url = '/api/v2/accounts/me'
    for (let i = 1; i < calls; i += 1) await api.app.inject({ url, headers })
    return api.app.inject({ url, headers })
  }

  test('of one key end at 1,200 an hour', async () => {
    expect((await burst(false, 1_200)).statusCode).toBe(200)
    const refused = await burst(false, 1_201)
    expect(refused.statusCode).toBe(429)
    expect(refused.headers['retry-after']).toMatch(/^[1-9][0-9]*$/)
    expect(refused.json()).toMatchObject({ status: 'error', error: 'Rate limit exceeded', code: 'rate_limited' })
  })

  test('of a sandbox key do not', async () => {
    expect((await burst(true, 1_201)).statusCode).toBe(200)
  })
})
