import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { readEnv } from '../config/config.ts'
import { useRateLimit } from './rate-limit.ts'

type Given = { seeded?: boolean; rateLimit?: string }

/** Returns a new key and a function that makes the given number of calls with it and returns the last response. */
async function makeCaller(api: ReturnType<typeof useApi>, { seeded = false, rateLimit }: Given = {}) {
  const { id, key } = await make.apiKey(api.db, { accountId: api.owner.accountId })
  const change = (limit: string | null, own: string | null = null) =>
    api.db.exec(
      'change_key',
      'update api_keys set seeded = $2, operator_rate_limit = $3, rate_limit = $4 where id = $1',
      [id, seeded, limit, own],
    )
  await change(rateLimit ?? null)
  const call = async (calls: number) => {
    const request = { url: '/api/v2/accounts/me', headers: { authorization: basic(key) } }
    for (let i = 1; i < calls; i += 1) await api.app.inject(request)
    return api.app.inject(request)
  }
  return { id, key, call, change }
}

describe("with the vendor's limit", () => {
  const api = useApi({ config: readEnv({ CARILLON_RATE_LIMIT: 'vendor', CARILLON_ACCOUNT_RATE_LIMIT: 'off' }) })

  test.each([false, true])('a key gets 1,200 calls per hour (seeded sandbox key: %s)', async (seeded) => {
    const { call } = await makeCaller(api, { seeded })
    const last = await call(1_200)
    expect(last.statusCode).toBe(200)
    expect(last.headers['ratelimit-policy']).toMatch(/^"key";q=1200;w=3600/)
    expect(last.headers.ratelimit).toMatch(/^"key";r=0;t=3[56][0-9]{2}/)
    const rejected = await call(1)
    expect(rejected.statusCode).toBe(429)
    expect(rejected.headers['retry-after']).toMatch(/^3[56][0-9]{2}$/)
    expect(rejected.headers.ratelimit).toContain(`"key";r=0;t=${rejected.headers['retry-after']}`)
    expect(rejected.json()).toMatchObject({ status: 'error', error: 'Rate limit exceeded', code: 'rate_limited' })
  })

  test("an operator's limit takes precedence, a change applies immediately, and keys do not share a limit", async () => {
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
    expect((await call(1)).headers).toMatchObject({
      'ratelimit-policy': '"key";q=50;w=1, "account";q=200;w=1',
      ratelimit: '"key";r=49;t=1, "account";r=199;t=1',
    })
    const statuses = await Promise.all(Array.from({ length: 60 }, () => call(1).then(({ statusCode }) => statusCode)))
    expect(statuses).toContain(429)
    const banner = await makeCaller(api, { seeded: true })
    const free = await Promise.all(Array.from({ length: 60 }, () => banner.call(1)))
    expect(free.map(({ statusCode }) => statusCode)).not.toContain(429)
    expect(free[0]?.headers).not.toHaveProperty('ratelimit')
  })
})

describe('limits that an account cannot escape', () => {
  const api = useApi({ config: readEnv({ CARILLON_RATE_LIMIT: 'vendor' }) })

  test('a new limit of its own resets no counter, and lower limits apply as well', async () => {
    const { call, change } = await makeCaller(api)
    await change('4/60', '2/60')
    expect((await call(2)).headers).toMatchObject({ 'ratelimit-policy': expect.stringContaining('"key";q=2;w=60') })
    expect((await call(1)).statusCode).toBe(429)
    await change('4/60', '3/60')
    expect((await call(1)).statusCode).toBe(200)
    const last = await call(1)
    expect(last.statusCode).toBe(200)
    expect(last.headers.ratelimit).toMatch(/^"key";r=0/)
    expect((await call(1)).statusCode).toBe(429)
    await change('4/60', 'off')
    expect((await call(1)).statusCode).toBe(429)
  })

  test('a limited key cannot raise its limit, and shares it with the keys that it creates', async () => {
    const { id, key, change } = await makeCaller(api)
    await change('6/60')
    const as = (secret: string) => (method: 'GET' | 'POST' | 'PUT', path: string, payload?: object) =>
      api.app.inject({
        method,
        url: `/api/v2${path}`,
        headers: { authorization: basic(secret) },
        ...(payload && { payload }),
      })
    const put = (limit: string | null) => as(key)('PUT', `/api_keys/${id}`, { api_key: { rate_limit: limit } })
    expect((await put('off')).json()).toMatchObject({
      code: 'invalid',
      error: expect.stringContaining('limit of the operator'),
    })
    expect((await put('7/60')).statusCode).toBe(422)
    expect((await put(null)).statusCode).toBe(200)
    const made = (await as(key)('POST', '/api_keys', { api_key: { name: 'second' } })).json().api_key
    expect((await as(made.key)('GET', '/accounts/me')).statusCode).toBe(200)
    const above = await as(made.key)('PUT', `/api_keys/${made.id}`, { api_key: { rate_limit: '7/60' } })
    expect(above.statusCode).toBe(422)
    // six calls by now
    for (const secret of [key, made.key]) expect((await as(secret)('GET', '/accounts/me')).statusCode).toBe(429)
    await api.db.exec('revoke', 'update api_keys set revoked_at = now() where id = $1', [id])
    expect((await as(made.key)('GET', '/accounts/me')).statusCode).toBe(429)
  })

  test('keys share the limit of their account, and a new key does not reset it', async () => {
    await api.db.exec('limit', `update accounts set rate_limit = '10/3600' where id = $1`, [api.owner.accountId])
    try {
      const [first, second] = [await makeCaller(api), await makeCaller(api)]
      expect((await first.call(6)).statusCode).toBe(200)
      const last = await second.call(4)
      expect(last.statusCode).toBe(200)
      expect(last.headers.ratelimit).toMatch(/"account";r=0;t=3[56][0-9]{2}$/)
      await api.db.exec('revoke', 'update api_keys set revoked_at = now() where id = $1', [second.id])
      const rejected = await (await makeCaller(api)).call(1)
      expect(rejected.statusCode).toBe(429)
      expect(rejected.headers['retry-after']).toMatch(/^3[56][0-9]{2}$/)
      const other = { url: '/api/v2/accounts/me', headers: { authorization: basic(api.stranger.key) } }
      expect((await api.app.inject(other)).statusCode).toBe(200)
    } finally {
      await api.db.exec('free', 'update accounts set rate_limit = null where id = $1', [api.owner.accountId])
    }
  })

  test('a rejected call counts for no other limit', async () => {
    const { call, change } = await makeCaller(api)
    await change('3/3600', '1/1')
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) statuses.push((await call(1)).statusCode)
    expect(statuses[0]).toBe(200)
    await change('3/3600', null)
    const allowed = 3 - statuses.filter((status) => status === 200).length
    for (let n = 0; n < allowed; n++) expect((await call(1)).statusCode).toBe(200)
    expect((await call(1)).statusCode).toBe(429)
  })
})

test('a caller with ten thousand keys resets the counter of the oldest key only', async () => {
  type Hook = (req: object, reply: object) => Promise<void>
  let hook: Hook = async () => {}
  useRateLimit({ addHook: (_name: string, added: Hook) => (hook = added) } as never, 'off', 'off')
  const call = (id: number) =>
    hook({ apiKey: { id, rateLimit: '1/3600' }, account: {} }, { header: () => {} }).then(
      () => 'handled',
      ({ code }) => code,
    )
  for (let id = 1; id <= 10_000; id++) expect(await call(id)).toBe('handled')
  expect([await call(10_001), await call(2), await call(10_000)]).toEqual(['handled', 'rate_limited', 'rate_limited'])
})
