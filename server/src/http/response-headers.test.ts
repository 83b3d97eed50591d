import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'

const api = useApi()

describe('every response of the API', () => {
  test.each<[url: string, status: number, headers?: Record<string, string>]>([
    ['/api/v2/lists', 200],
    ['/api/v2/lists/1', 404],
    ['/api/v2/lists?start_date=x', 200],
    ['/api/v2/lists', 401, { authorization: 'Basic bm9ib2R5Om5vbmU=' }],
    ['/api/v2/lists', 406, { accept: 'text/html' }],
    ['/api/v2/lists', 400, { host: 'a/b' }],
    ['/api/v2/lists/%zz', 400],
    ['/nothing', 404],
    ['/healthz', 200],
    ['/openapi.json', 200],
    ['/metrics', 200],
  ])(
    '%s with %i is stored by no cache, embedded in no page and interpreted as its type',
    async (url, status, more = {}) => {
      const headers = { authorization: basic(api.owner.key), ...more }
      const response = await api.app.inject({ url, headers })
      expect(response.statusCode).toBe(status)
      expect(response.headers).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'cross-origin-resource-policy': 'same-origin',
        'x-content-type-options': 'nosniff',
      })
    },
  )

  test('has them also if a POST creates a key, or is rejected', async () => {
    const created = await api.owner.post('/api_keys', { api_key: { name: 'Mailer' } })
    const invalid = await api.owner.post('/api_keys', {})
    expect([created.status, invalid.status]).toEqual([201, 422])
    for (const { headers } of [created, invalid]) expect(headers['cache-control']).toBe('no-store')
  })
})

test('a redirect stays on this server, also if the path starts with slashes', async () => {
  for (const path of ['/docs/static/index.html', '//docs/static/index.html', '///docs/static/index.html']) {
    expect((await api.app.inject({ url: `http://localhost${path}` })).headers.location, path).toBe('/docs/')
  }
})

test.each([
  '/docs',
  '/docs/',
  '/docs/static/swagger-ui.css',
  '/docs/static/swagger-initializer.js',
  '/docs/static/no.js',
])('%s runs only scripts of this server, and is shown in no frame', async (url) => {
  const { headers } = await api.app.inject({ url })
  const policy = String(headers['content-security-policy'])
  expect(policy).toContain("default-src 'none'; script-src 'self'; ")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(headers).toMatchObject({
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
  })
})
