import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { readEnv } from '../config/config.ts'

type Given = { seeded?: boolean; rateLimit?: string }

/** Returns a new key and a function that makes the given number of calls with it and returns the last response. */
async function makeCaller(api: ReturnType<typeof useApi>, { seeded = false, rateLimit }: Given = {}) {
  const { id, key } = await make.apiKey(api.db, { accountId: api.owner.accountId })
  const change = (limit: string | null) =>
    api.db.exec('change_key', 'update api_keys set seeded = $2, rate_limit = $3 where id = $1', [id, seeded, limit])
  await change(rateLimit ?? null)
  const call = async (calls: number) => {
    const request = { url: '/api/v2/accounts/me', headers: { authorization: basic(key) } }
    for (let i = 1; i < calls; i += 1) await api.app.inject(request)
    return api.app.inject(request)
  }
  return { call, change }
}

describe("with the vendor's limit", () => {
  const api = useApi({ config: readEnv({ CARILLON_RATE_LIMIT: 'vendor' }) })

  test.each([false, true])('a key gets 1,200 calls per hour (seeded sandbox key: %s)', async (seeded) => {
    const { call } = await makeCaller(api, { seeded })
    const last = await call(1_200)
    expect(last.statusCode).toBe(200)
    expect(last.headers).toMatchObject({ 'ratelimit-policy': '"key";q=1200;w=3600' })
    expect(last.headers.ratelimit).toMatch(/^"key";r=0;t=3[56][0-9]{2}$/)
    const rejected = await call(1)
    expect(rejected.statusCode).toBe(429)
    expect(rejected.headers['retry-after']).toMatch(/^3[56][0-9]{2}$/)
    expect(rejected.headers.ratelimit).toBe(`"key";r=0;t=${rejected.headers['retry-after']}`)
    expect(rejected.json()).toMatchObject({ status: 'error', error: 'Rate limit exceeded', code: 'rate_limited' })
  })

  test("a key's own limit takes precedence, a change applies immediately, and keys do not share a limit", async () => {
    const { call, change } = await makeCaller(api, { rateLimit: '2/60' })
    expect((await call(2)).headers).toMatchObject({ 'ratelimit-policy': '"key";q=2;w=60' })
    expect((await call(1)).statusCode).toBe(429)
    await change('3/60')
    expect((await call(3)).statusCode).toBe(200)
    expect((await call(1)).statusCode).toBe(429)
    await change('off')
    const free = await call(1)
    expect(free.statusCode).toBe(200)
    expect(free.headers).not.toHaveProperty('ratelimit')
    expect((await (await makeCaller(api)).call(1)).statusCode).toBe(200)
  })
})

describe('with the default limit', () => {
  const api = useApi({ config: readEnv({ CARILLON_RATE_LIMIT: 'default' }) })

  test('a key gets 50 calls per second, and the seeded sandbox key is not limited', async () => {
    const { call } = await makeCaller(api)
    expect((await call(1)).headers).toMatchObject({ 'ratelimit-policy': '"key";q=50;w=1', ratelimit: '"key";r=49;t=1' })
    const statuses = await Promise.all(Array.from({ length: 60 }, () => call(1).then(({ statusCode }) => statusCode)))
    expect(statuses).toContain(429)
    const banner = await makeCaller(api, { seeded: true })
    const free = await Promise.all(Array.from({ length: 60 }, () => banner.call(1)))
    expect(free.map(({ statusCode }) => statusCode)).not.toContain(429)
    expect(free[0]?.headers).not.toHaveProperty('ratelimit')
  })
})
