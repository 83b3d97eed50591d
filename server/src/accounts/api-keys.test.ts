import { describe, expect, test } from 'vitest'
import { type ApiCaller, basic, makeCaller, readResponse, useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { makeApp } from '../http/app.ts'
import { callerFinder, disableApiKey, removeApiKey } from './api-keys.ts'

const api = useApi()

type KeyView = Record<string, unknown> & { id: number; key: string }

async function createKey(person: ApiCaller, fields: object = {}): Promise<KeyView> {
  const response = await person.post('/api_keys', { api_key: { name: 'Mailer', ...fields } })
  expect(response.status).toBe(201)
  return response.body.api_key as KeyView
}

async function statusWith(key: string, path = '/accounts/me') {
  return (await api.app.inject({ url: `/api/v2${path}`, headers: { authorization: basic(key) } })).statusCode
}

test('a new key works immediately, is shown once, and is stored as a hash only', async () => {
  const response = await api.owner.post('/api_keys', {
    api_key: { name: 'Mailer', scope: 'read', rate_limit: '10/60' },
  })
  const { id, key } = response.body.api_key as KeyView
  expect(response.status).toBe(201)
  expect(response.body).toEqual({
    status: 'API key created',
    api_key: {
      id: expect.any(Number),
      name: 'Mailer',
      scope: 'read',
      prefix: key.slice(0, 20),
      rate_limit: '10/60',
      is_current: false,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[78]:00$/),
      last_used_at: null,
      disabled_at: null,
      key: expect.stringMatching(/^carillon_key_[\w-]{43}$/),
    },
  })
  expect(await statusWith(key)).toBe(200)
  const list = await api.owner.get('/api_keys')
  expect(list.body).toMatchObject({ status: 'OK', count: 2, page: 1, per_page: 10, pages_count: 1 })
  const keys = list.body.api_keys as KeyView[]
  expect(keys.map((each) => [each.id, each.is_current])).toEqual([
    [api.owner.keyId, true],
    [id, false],
  ])
  expect(list.text).not.toContain(key)
  const row = await api.db.one<{ row: string }>('row', 'select k::text as row from api_keys k where id = $1', [id])
  expect(row.row).not.toContain(key)
})

test.each([
  [{ name: ' ' }, "Validation failed: Name can't be blank"],
  [{ name: 'x'.repeat(101) }, 'Validation failed: Name is too long (maximum is 100 characters)'],
  [{ name: 'x', scope: 'admin' }, 'Validation failed: Scope is not included in the list'],
  [{ name: 'x', rate_limit: '10 a second' }, expect.stringContaining('Rate limit must be calls/seconds, such as')],
])('rejects %j and creates no key', async (fields, error) => {
  const response = await api.owner.post('/api_keys', { api_key: fields })
  expect(response).toMatchObject({ status: 422, body: { status: 'error', error } })
  expect((await api.owner.get('/api_keys')).body.count).toBe(1)
})

test('a disabled key is rejected until it is enabled; a revoked key is rejected permanently and not listed', async () => {
  const { id, key } = await createKey(api.owner)
  const off = await api.owner.post(`/api_keys/${id}/disable`)
  expect(off).toMatchObject({ status: 200, body: { status: 'API key disabled', api_key: { id } } })
  expect((off.body.api_key as KeyView).disabled_at).toEqual(expect.any(String))
  expect(await statusWith(key)).toBe(403)
  const on = await api.owner.post(`/api_keys/${id}/enable`)
  expect(on).toMatchObject({ status: 200, body: { status: 'API key enabled', api_key: { disabled_at: null } } })
  expect(await statusWith(key)).toBe(200)
  const revoked = await api.owner.delete(`/api_keys/${id}`)
  expect(revoked).toMatchObject({ status: 200, body: { status: 'API key revoked' } })
  expect(await statusWith(key)).toBe(401)
  expect((await api.owner.get('/api_keys')).body.count).toBe(1)
  expect(await api.owner.delete(`/api_keys/${id}`)).toMatchObject({ status: 404, body: { error: 'API key not found' } })
  expect((await api.owner.post(`/api_keys/${id}/enable`)).status).toBe(404)
})

test('name and limit can be changed separately, and a new limit applies immediately', async () => {
  const { id, key } = await createKey(api.owner)
  const renamed = await api.owner.put(`/api_keys/${id}`, { api_key: { name: 'Shop' } })
  expect(renamed).toMatchObject({ status: 200, body: { status: 'OK', api_key: { name: 'Shop', rate_limit: null } } })
  await api.owner.put(`/api_keys/${id}`, { api_key: { rate_limit: '1/60' } })
  expect([await statusWith(key), await statusWith(key)]).toEqual([200, 429])
  const freed = await api.owner.put(`/api_keys/${id}`, { api_key: { rate_limit: null } })
  expect(freed.body.api_key).toMatchObject({ name: 'Shop', rate_limit: null })
  expect(await statusWith(key)).toBe(200)
})

test('a limit above the limit of the installation is rejected', async () => {
  const app = await makeApp(makeRuntime({ db: api.db, config: readEnv({ CARILLON_RATE_LIMIT: 'default' }) }))
  const person = await makeCaller(api.db, app)
  const set = async (limit: string) =>
    (await person.post('/api_keys', { api_key: { name: 'x', rate_limit: limit } })).status
  expect([await set('3000/60'), await set('3001/60'), await set('off')]).toEqual([201, 422, 422])
  await app.close()
})

test('a key cannot disable or revoke itself', async () => {
  const path = `/api_keys/${api.owner.keyId}`
  const rejected = { status: 422, body: { status: 'error', code: 'key_in_use' } }
  expect(await api.owner.post(`${path}/disable`)).toMatchObject(rejected)
  expect(await api.owner.delete(path)).toMatchObject(rejected)
  expect((await api.owner.get('/accounts/me')).status).toBe(200)
})

test("another account's key is not found", async () => {
  const path = `/api_keys/${api.stranger.keyId}`
  const responses = [
    await api.owner.put(path, { api_key: { name: 'Mine' } }),
    await api.owner.post(`${path}/disable`),
    await api.owner.post(`${path}/enable`),
    await api.owner.delete(path),
    await api.owner.delete('/api_keys/abc'),
  ]
  for (const response of responses)
    expect(response).toMatchObject({ status: 404, body: { error: 'API key not found' } })
  expect((await api.stranger.get('/api_keys')).body.api_keys).toMatchObject([{ name: 'test', disabled_at: null }])
})

test.each(['read', 'send'])('a key of scope %s cannot manage keys', async (scope) => {
  const { key } = await createKey(api.owner, { scope })
  const headers = { authorization: basic(key) }
  const url = `/api/v2/api_keys/${api.owner.keyId}`
  const responses = [
    await api.app.inject({ method: 'POST', url: '/api/v2/api_keys', headers, payload: '{"api_key":{"name":"x"}}' }),
    await api.app.inject({ method: 'POST', url: `${url}/disable`, headers }),
    await api.app.inject({ method: 'DELETE', url, headers }),
  ]
  expect(responses.map((response) => readResponse(response).body.code)).toEqual(Array(3).fill('scope_too_narrow'))
})

describe('with real commits', () => {
  test('only one of two keys that disable each other concurrently succeeds', async () => {
    const database = await freshDatabase()
    const rt = makeRuntime({ db: database.db })
    const { id: accountId } = await make.account(database.db)
    for (let round = 0; round < 5; round += 1) {
      const [a, b] = [await make.apiKey(database.db, { accountId }), await make.apiKey(database.db, { accountId })]
      const outcomes = await Promise.allSettled([
        disableApiKey(rt, { accountId, keyId: a.id }, b.id),
        disableApiKey(rt, { accountId, keyId: b.id }, a.id),
      ])
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      const rejected = outcomes.find((outcome) => outcome.status === 'rejected')
      expect(rejected?.reason).toMatchObject({ code: 'key_disabled' })
    }
    await database.close()
  })

  test('a key is rejected after its revocation, even while an earlier read of the key is running', async () => {
    const database = await freshDatabase()
    const { id: accountId } = await make.account(database.db)
    const { id, key } = await make.apiKey(database.db, { accountId })
    // the first read has found the row, but not returned it, when the key is revoked
    const [hasRow, mayReturn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let reads = 0
    const slow: Db = {
      ...database.db,
      async many<T>(name: string, sql: string, params?: unknown[]) {
        const isFirst = reads++ === 0
        const rows = await database.db.many<T>(name, sql, params)
        if (isFirst) {
          hasRow.resolve()
          await mayReturn.promise
        }
        return rows
      },
    }
    const find = callerFinder(slow, 'sandbox')
    const earlier = find(key)
    await hasRow.promise
    await removeApiKey(makeRuntime({ db: database.db }), { accountId, keyId: 'operator' }, id)
    const later = find(key)
    mayReturn.resolve()
    expect(await earlier).toMatchObject({ apiKey: { id } })
    expect(await later).toBeUndefined()
    expect(reads).toBe(2)
    await database.close()
  })

  test('the last use of a key is stored outside of requests, at most once a minute', async () => {
    const database = await freshDatabase()
    const at = { now: new Date('2026-11-21T12:00:00Z') }
    const app = await makeApp(makeRuntime({ db: database.db, clock: { now: () => at.now } }))
    const person = await makeCaller(database.db, app)
    const lastUsed = async () => {
      const sql = 'select last_used_at as at from api_keys where id = $1'
      return (await database.db.one<{ at: Date | null }>('last_used', sql, [person.keyId])).at?.toISOString()
    }
    await person.get('/lists')
    expect(await lastUsed()).toBeUndefined()
    await waitFor(async () => (await lastUsed()) === '2026-11-21T12:00:00.000Z', { timeoutMs: 5_000 })
    at.now = new Date('2026-11-21T12:00:59Z')
    await person.get('/lists')
    at.now = new Date('2026-11-21T12:01:00Z')
    await person.get('/lists')
    await app.close()
    expect(await lastUsed()).toBe('2026-11-21T12:01:00.000Z')
    await database.close()
  })
})
