import { type AddressInfo, connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { basic, readResponse, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { callerFinder, makeKey, storedKeyOf, storedKeyReader } from './api-keys.ts'

const api = useApi()

async function me(headers: Record<string, string>, method: 'GET' | 'POST' = 'GET') {
  return readResponse(await api.app.inject({ method, url: '/api/v2/accounts/me', headers }))
}

test('returns the account of the key', async () => {
  const response = await api.owner.get('/accounts/me')
  expect(response.status).toBe(200)
  expect(response.body).toEqual({
    status: 'OK',
    account: { id: api.owner.accountId, email: api.owner.email, username: expect.any(String) },
  })
})

describe('a request is rejected', () => {
  const unauthorized = { status: 'error', error: 'API key authorization failure', code: 'unauthorized' }

  test.each([
    ['without a header', {}],
    ['with another scheme', { authorization: 'Bearer carillon_key_x' }],
    ['with an empty key', { authorization: basic('') }],
    ['without a colon', { authorization: `Basic ${Buffer.from('abc').toString('base64')}` }],
    ['with a malformed header', { authorization: 'Basic !!!' }],
    ['with an unknown key', { authorization: basic(makeKey()) }],
  ])('%s', async (_case, headers) => {
    const response = await me(headers)
    expect(response.status).toBe(401)
    expect(response.body).toEqual({ ...unauthorized, request_id: response.headers['x-request-id'] })
    expect(response.headers['www-authenticate']).toMatch(/^Basic /)
  })

  test('with a wrong key that has the prefix of another key', async () => {
    const response = await me({ authorization: basic(`${api.owner.key.slice(0, -1)}_`) })
    expect(response.status).toBe(401)
  })

  test('with a key that has just been disabled', async () => {
    expect((await api.owner.get('/accounts/me')).status).toBe(200)
    await api.db.exec('disable_key', 'update api_keys set disabled_at = now() where id = $1', [api.owner.keyId])
    const response = await api.owner.get('/accounts/me')
    expect(response.status).toBe(403)
    expect(response.body).toEqual({
      status: 'error',
      error: 'This API key is disabled',
      code: 'key_disabled',
      request_id: expect.stringMatching(/^req_/),
    })
  })

  test('with a sandbox key in production', async () => {
    expect(await callerFinder(api.db, 'sandbox')(api.owner.key)).toMatchObject({ apiKey: { id: api.owner.keyId } })
    expect(await callerFinder(api.db, 'production')(api.owner.key)).toBeUndefined()
  })
})

test('ignores the user name, cookies and the host header', async () => {
  for (const userName of ['tatango', '', 'someone@else.example']) {
    const headers = { authorization: basic(api.owner.key, userName), cookie: '', host: 'example.org' }
    expect((await me(headers)).status).toBe(200)
  }
})

test('each request on a connection is that of its own key', async () => {
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = api.app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', (bytes) => (received += bytes))
  const { owner, stranger } = api
  const statuses: string[] = []
  for (const key of [owner.key, stranger.key, owner.key, `${owner.key}x`, owner.key]) {
    received = ''
    socket.write(`GET /api/v2/accounts/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${basic(key, 'any')}\r\n\r\n`)
    await waitFor(() => received.endsWith('}'))
    statuses.push(/"id":(\d+)/.exec(received)?.[1] ?? received.slice(9, 12))
  }
  socket.destroy()
  const [first, second] = [String(owner.accountId), String(stranger.accountId)]
  expect(statuses).toEqual([first, second, first, '401', first])

  const read = storedKeyReader()
  expect(read(owner.key, socket)).toBe(read(owner.key, socket))
})

test('accepts a short key of another format, and does not store its first characters', async () => {
  const key = 'tatango_key_short'
  const { prefix, hash } = storedKeyOf(key)
  expect(prefix).not.toContain(key.slice(0, 5))
  await api.db.exec(
    'insert_key',
    `insert into api_keys (account_id, name, prefix, hash, created_at) values ($1, 'old', $2, $3, now())`,
    [api.owner.accountId, prefix, hash],
  )
  expect(await callerFinder(api.db, 'sandbox')(key)).toMatchObject({ account: { id: api.owner.accountId } })
})

test('makes random keys, whose prefixes are their first twenty characters', () => {
  const key = makeKey()
  expect(key).toMatch(/^carillon_key_[\w-]{43}$/)
  expect(makeKey()).not.toBe(key)
  expect(storedKeyOf(key).prefix).toBe(key.slice(0, 20))
})

describe('scopes', () => {
  async function statuses(scope: string, path: string) {
    const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, scope })
    const headers = { authorization: basic(key) }
    const call = async (method: 'GET' | 'POST') =>
      (await api.app.inject({ method, url: `/api/v2${path}`, headers, payload: '{}' })).statusCode
    return { get: await call('GET'), post: await call('POST') }
  }

  test('read allows reading only', async () => {
    expect(await statuses('read', '/lists')).toEqual({ get: 200, post: 403 })
    expect(await statuses('read', '/lists/1/messages')).toEqual({ get: 404, post: 403 })
  })

  test('send allows reading and sending messages', async () => {
    expect(await statuses('send', '/lists')).toEqual({ get: 200, post: 403 })
    expect(await statuses('send', '/lists/1/messages')).toEqual({ get: 404, post: 422 })
  })
})
