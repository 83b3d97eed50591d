import { describe, expect, test } from 'vitest'
import { basic, readResponse, useApi } from '../../test/api.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readEnv } from '../config/config.ts'
import { makeApp } from './app.ts'

const publicUrl = 'https://texts.example.org'
const config = readEnv({ CARILLON_PUBLIC_URL: publicUrl, CARILLON_RATE_LIMIT: 'off' })
const api = useApi({ config })

/** Creates a list with these headers and returns its status. */
async function write(headers: Record<string, string>, app = api.app) {
  const authorization = basic(api.owner.key)
  const payload = JSON.stringify({ list: { name: 'Pantry' } })
  const all = { 'content-type': 'text/plain', authorization, ...headers }
  return readResponse(await app.inject({ method: 'POST', url: '/api/v2/lists', headers: all, payload }))
}

describe('a write', () => {
  test.each<[from: string, headers: Record<string, string>]>([
    ['a client without headers of a browser', {}],
    ['a client with the host of the samples', { host: 'example.org' }],
    ["Node's fetch", { 'sec-fetch-mode': 'cors' }],
    ['a page of the public URL', { origin: publicUrl, 'sec-fetch-site': 'same-origin' }],
    ['such a page, through a proxy that replaces Host', { origin: publicUrl, host: '10.0.0.7:8080' }],
    ['a browser whose user started the request', { 'sec-fetch-site': 'none' }],
    ['a page at the address of the server', { origin: 'http://127.0.0.1:8080', host: '127.0.0.1:8080' }],
    ['a page at an address without a port', { origin: 'http://192.168.7.5', host: '192.168.7.5' }],
    ['a page at an IPv6 address', { origin: 'http://[::1]:8080', host: '[::1]:8080' }],
    ['a page at localhost', { origin: 'http://localhost:8080', host: 'localhost:8080' }],
  ])('of %s is accepted', async (_from, headers) => {
    expect(await write(headers)).toMatchObject({ status: 200 })
  })

  test.each<[from: string, headers: Record<string, string>]>([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['another port or subdomain', { 'sec-fetch-site': 'same-site' }],
    ['two values', { 'sec-fetch-site': 'same-origin, cross-site' }],
    ['an empty value', { 'sec-fetch-site': '' }],
    ['another site that claims our origin', { 'sec-fetch-site': 'cross-site', origin: publicUrl }],
    ['another origin', { origin: 'https://evil.example' }],
    [
      'another origin that claims to be same-origin',
      { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
    ],
    ['a sandboxed frame or a file', { origin: 'null' }],
    ['an empty origin', { origin: '' }],
    ['two origins', { origin: `${publicUrl}, https://evil.example` }],
    ['the public name without TLS', { origin: 'http://texts.example.org' }],
    ['another port of the public name', { origin: 'https://texts.example.org:8443' }],
    ['a name that starts like the public one', { origin: 'https://texts.example.org.evil.example' }],
    ['a name that DNS points here', { origin: 'http://evil.example:8080', host: 'evil.example:8080' }],
    ['a name that looks like an address', { origin: 'http://127.0.0.1.evil.example', host: '127.0.0.1.evil.example' }],
    ['another port of localhost', { origin: 'http://localhost:3000', host: 'localhost:8080' }],
    ['the address by TLS, which another server has', { origin: 'https://127.0.0.1:8080', host: '127.0.0.1:8080' }],
    ['an extension', { origin: 'chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh' }],
  ])('of %s is rejected', async (_from, headers) => {
    expect(await write(headers)).toMatchObject({ status: 403, body: { status: 'error', code: 'foreign_origin' } })
    expect((await api.owner.get('/lists')).body.count).toBe(0)
  })

  test('of a page at the default address is accepted, without a public URL', async () => {
    const app = await makeApp(makeRuntime({ db: api.db, config: readEnv({ CARILLON_PORT: '80' }) }))
    expect((await write({ origin: 'http://127.0.0.1', host: 'elsewhere' }, app)).status).toBe(200)
    expect((await write({ origin: 'http://carillon.lan', host: 'carillon.lan' }, app)).status).toBe(403)
    await app.close()
  })

  test('is rejected before its key and its body are read', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'content-encoding': 'gzip', authorization: 'Basic none' }
    expect(await write(headers)).toMatchObject({ status: 403, body: { code: 'foreign_origin' } })
  })
})

test('any method but GET and HEAD counts as a write, also on paths without operations', async () => {
  const headers = { 'sec-fetch-site': 'cross-site' }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const) {
    for (const url of ['/api/v2/lists', '/docs', '/', '/healthz', '/nothing']) {
      expect((await api.app.inject({ method: method as 'POST', url, headers })).statusCode, `${method} ${url}`).toBe(
        403,
      )
    }
  }
  const authorization = basic(api.owner.key)
  for (const method of ['GET', 'HEAD'] as const) {
    const response = await api.app.inject({ method, url: '/api/v2/lists', headers: { ...headers, authorization } })
    expect(response.statusCode).toBe(200)
  }
})

test('no response permits a page of another origin to read it', async () => {
  const origin = 'https://evil.example'
  const preflight = {
    origin,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'authorization',
  }
  for (const method of ['GET', 'POST', 'OPTIONS'] as const) {
    for (const url of ['/api/v2/lists', '/docs/', '/openapi.json', '/metrics', '/readyz', '/nothing']) {
      const { headers } = await api.app.inject({ method, url, headers: preflight })
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
    }
  }
})

describe('a request without a key', () => {
  const challengeOf = async (headers: Record<string, string>) => {
    const response = await api.app.inject({ url: '/api/v2/lists', headers })
    expect(response.statusCode).toBe(401)
    return response.headers['www-authenticate']
  }

  test.each([[{}], [{ accept: 'text/html, image/gif, image/jpeg, */*; q=.2', 'user-agent': 'Java/21' }]])(
    'is challenged: %j',
    async (headers) => {
      expect(await challengeOf(headers)).toMatch(/^Basic /)
    },
  )

  test.each([
    [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none', 'sec-fetch-dest': 'document' }],
    [{ 'sec-fetch-dest': 'iframe' }],
    [{ 'sec-fetch-site': 'same-origin' }],
    [{ 'upgrade-insecure-requests': '1' }],
    [{ origin: 'https://evil.example' }],
  ])('is not challenged if a browser sent it: %j', async (headers) => {
    expect(await challengeOf(headers as Record<string, string>)).toBeUndefined()
  })
})
