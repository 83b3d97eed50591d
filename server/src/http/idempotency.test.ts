import type { InjectOptions } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, type ApiResponse, basic, makeCaller, readResponse } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import type { Db } from '../db/db.ts'
import { makeApp } from './app.ts'
import { forgetIdempotencyKeysJob } from './idempotency.jobs.ts'

type App = Awaited<ReturnType<typeof makeApp>>

let database: TestDatabase
let app: App
let owner: ApiCaller
let now: Date
let list: { id: number }
/** Hooks that delay a request, or end it by throwing: after its work, before its commit, after its commit. */
let midway: (() => Promise<void>) | undefined
let beforeCommit: (() => Promise<void>) | undefined
let afterCommit: (() => Promise<void>) | undefined

beforeEach(async () => {
  database = await freshDatabase()
  now = new Date('2026-11-21T12:00:00Z')
  midway = undefined
  beforeCommit = undefined
  afterCommit = undefined
  app = await makeApp(makeRuntime({ db: interruptible(database.db), clock: { now: () => now } }))
  owner = await makeCaller(database.db, app)
  list = await make.list(database.db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id })
})

afterEach(async () => {
  await app.close()
  await database.close()
})

function interruptible(db: Db): Db {
  return {
    ...db,
    async tx(work) {
      const result = await db.tx(async (tx) => {
        const done = await work(interruptibleWithin(tx))
        await beforeCommit?.()
        return done
      })
      await afterCommit?.()
      return result
    },
  }
}

function interruptibleWithin(outer: Db): Db {
  return {
    ...outer,
    async tx(work) {
      const result = await outer.tx(work)
      await midway?.()
      return result
    },
  }
}

function post(key: string, path: string, body: unknown, options: InjectOptions = {}): Promise<ApiResponse> {
  return owner.post(path, body, { ...options, headers: { 'idempotency-key': key, ...options.headers } })
}

const newList = (name: string) => ({ list: { name } })

async function count(sql: string, params: unknown[] = []): Promise<number> {
  return database.db.withClient(async (client) => {
    const { rows } = await client.query<{ n: number }>(`select count(*) as n from ${sql}`, params)
    return rows[0]?.n ?? 0
  })
}

const lists = (name: string) => count('lists where name = $1', [name])

test('an equal request gets the response of the first and has no second effect', async () => {
  const first = await post('k1', '/lists', newList('Pantry'))
  expect(first.status).toBe(200)
  expect(first.headers).not.toHaveProperty('idempotency-replayed')
  const second = await post('k1', '/lists', newList('Pantry'))
  expect(second.text).toBe(first.text)
  expect(second).toMatchObject({ status: 200, headers: { 'idempotency-replayed': 'true' } })
  expect(second.headers['content-type']).toBe(first.headers['content-type'])
  expect(await lists('Pantry')).toBe(1)
  expect((await post('k2', '/lists', newList('Pantry'))).headers).not.toHaveProperty('idempotency-replayed')
  expect(await lists('Pantry')).toBe(2)
})

test('a replay has the status of the first response', async () => {
  const add = { subscriber: { phone_number: '2065550143', bypass_opt_in_process: true } }
  const first = await post('k', `/lists/${list.id}/subscribers`, add)
  expect(first.status).toBe(201)
  expect(await post('k', `/lists/${list.id}/subscribers`, add)).toMatchObject({ status: 201, body: first.body })
  expect(await count('opts')).toBe(1)
})

test('a repeated broadcast is created once', async () => {
  const message = { message: { content: 'The pantry opens at nine.' } }
  const responses = [
    await post('k', `/lists/${list.id}/messages`, message),
    await post('k', `/lists/${list.id}/messages`, message),
  ]
  expect(responses[1]?.text).toBe(responses[0]?.text)
  expect(await count('messages')).toBe(1)
  expect(await count('expansions')).toBe(1)
})

test('an idempotency key belongs to one API key', async () => {
  const stranger = await makeCaller(database.db, app)
  await post('k', '/lists', newList('Pantry'))
  const headers = { 'idempotency-key': 'k' }
  const other = await stranger.post('/lists', newList('Other'), { headers })
  expect(other.headers).not.toHaveProperty('idempotency-replayed')
  expect(other.body.list).toMatchObject({ name: 'Other' })
})

test('another body, path or query with the same key is rejected and changes nothing', async () => {
  await post('k', '/lists', newList('Pantry'))
  const reused = { status: 422, body: { status: 'error', code: 'idempotency_key_reused' } }
  expect(await post('k', '/lists', newList('Bakery'))).toMatchObject(reused)
  expect(await post('k', '/lists?x=1', newList('Pantry'))).toMatchObject(reused)
  expect(await post('k', `/lists/${list.id}/messages`, { message: { content: 'Hi' } })).toMatchObject(reused)
  expect(await lists('Bakery')).toBe(0)
  expect(await count('messages')).toBe(0)
})

test('one of two concurrent requests runs; the other gets 409 and, when it is retried, the same response', async () => {
  const { first, resume } = await suspendMidway()
  const second = await post('k', '/lists', newList('Pantry'))
  expect(second).toMatchObject({ status: 409, body: { status: 'error', code: 'idempotency_key_busy' } })
  expect(second.headers['retry-after']).toBe('1')
  resume()
  expect((await first).status).toBe(200)
  expect((await post('k', '/lists', newList('Pantry'))).text).toBe((await first).text)
  expect(await lists('Pantry')).toBe(1)
})

/** Starts a request, and suspends it after its work and before it stores its response. */
async function suspendMidway() {
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  midway = () => {
    midway = undefined
    reached.resolve()
    return gate.promise
  }
  const first = post('k', '/lists', newList('Pantry'))
  await reached.promise
  return { first, resume: gate.resolve }
}

test('exactly one of many concurrent requests runs', async () => {
  const responses = await Promise.all(Array.from({ length: 12 }, () => post('k', '/lists', newList('Pantry'))))
  expect(responses.map(({ status }) => status).filter((status) => status !== 200 && status !== 409)).toEqual([])
  expect(responses.some(({ status }) => status === 200)).toBe(true)
  expect(new Set(responses.filter(({ status }) => status === 200).map(({ text }) => text)).size).toBe(1)
  expect(await lists('Pantry')).toBe(1)
})

describe('a crash', () => {
  test('before the commit leaves neither effect nor response, and the key is free', async () => {
    beforeCommit = async () => {
      throw new Error('crashed')
    }
    expect((await post('k', '/lists', newList('Pantry'))).status).toBe(500)
    expect(await lists('Pantry')).toBe(0)
    beforeCommit = undefined
    const again = await post('k', '/lists', newList('Pantry'))
    expect(again.status).toBe(200)
    expect(again.headers).not.toHaveProperty('idempotency-replayed')
    expect(await lists('Pantry')).toBe(1)
  })

  test('between the commit and the response makes the next attempt return the response that was not sent', async () => {
    afterCommit = async () => {
      throw new Error('crashed')
    }
    expect((await post('k', '/lists', newList('Pantry'))).status).toBe(500)
    expect(await lists('Pantry')).toBe(1)
    afterCommit = undefined
    const again = await post('k', '/lists', newList('Pantry'))
    expect(again).toMatchObject({ status: 200, headers: { 'idempotency-replayed': 'true' } })
    expect(again.body).toMatchObject({ status: 'List created', list: { name: 'Pantry' } })
    expect(await lists('Pantry')).toBe(1)
  })

  test('of the process leaves the key leased until the lease expires, and a late commit is rejected', async () => {
    const { first: suspended, resume } = await suspendMidway()
    expect((await post('k', '/lists', newList('Pantry'))).status).toBe(409)
    const lease = `update idempotency_keys set lease_until = lease_until - interval '61 s'`
    expect(await database.db.exec('expire_leases', lease)).toBe(1)
    expect((await post('k', '/lists', newList('Bakery'))).body.code).toBe('idempotency_key_reused')
    const successor = await post('k', '/lists', newList('Pantry'))
    expect(successor.status).toBe(200)
    expect(successor.headers).not.toHaveProperty('idempotency-replayed')
    resume()
    expect(await suspended).toMatchObject({ status: 409, body: { code: 'idempotency_key_busy' } })
    expect(await lists('Pantry')).toBe(1)
    expect((await post('k', '/lists', newList('Pantry'))).text).toBe(successor.text)
  })

  test('followed by a takeover of the key does not return the key to the previous request', async () => {
    const suspended = await suspendMidway()
    await database.db.exec('expire_leases', `update idempotency_keys set lease_until = lease_until - interval '61 s'`)
    const successor = await suspendMidway()
    suspended.resume()
    expect(await suspended.first).toMatchObject({ status: 409, body: { code: 'idempotency_key_busy' } })
    expect(await lists('Pantry')).toBe(0)
    successor.resume()
    expect((await successor.first).status).toBe(200)
    expect(await lists('Pantry')).toBe(1)
  })
})

test('a key can be used for another request after 24 hours, and expired rows are deleted', async () => {
  await post('k', '/lists', newList('Pantry'))
  now = new Date(now.getTime() + 24 * 3_600_000 - 1)
  expect((await post('k', '/lists', newList('Pantry'))).headers).toHaveProperty('idempotency-replayed')
  await forgetIdempotencyKeysJob.run(app.rt, {}, new AbortController().signal)
  expect(await count('idempotency_keys')).toBe(1)
  now = new Date(now.getTime() + 1)
  const again = await post('k', '/lists', newList('Bakery'))
  expect(again).toMatchObject({ status: 200, body: { list: { name: 'Bakery' } } })
  now = new Date(now.getTime() + 24 * 3_600_000)
  await forgetIdempotencyKeysJob.run(app.rt, {}, new AbortController().signal)
  expect(await count('idempotency_keys')).toBe(0)
})

test('a rejected request changes nothing, so its key can be used again with another body', async () => {
  const taken = { list: { name: 'Pantry', keyword_names: ['PIZZA'] } }
  await post('k0', '/lists', taken)
  expect((await post('k', '/lists', { list: { name: 'Second', keyword_names: ['PIZZA'] } })).status).toBe(422)
  expect(await lists('Second')).toBe(0)
  expect((await post('k', '/lists', { list: { name: '' } })).status).toBe(422)
  expect((await post('k', '/lists/999999/messages', { message: { content: 'Hi' } })).status).toBe(404)
  expect((await post('k', '/lists', newList('Second'))).status).toBe(200)
})

test.each(['', ' ', 'x'.repeat(256), 'caf\u00e9'])('rejects %j as a key', async (key) => {
  const response = await post(key, '/lists', newList('Pantry'))
  expect(response).toMatchObject({ status: 400, body: { status: 'error', code: 'bad_idempotency_key' } })
  expect(await lists('Pantry')).toBe(0)
})

test('a GET, PUT or DELETE ignores the key', async () => {
  const headers = { 'idempotency-key': 'k' }
  expect((await owner.get('/lists', { headers })).status).toBe(200)
  expect((await owner.put(`/lists/${list.id}`, newList('Renamed'), { headers })).status).toBe(200)
  expect((await owner.delete(`/lists/${list.id}`, undefined, { headers })).status).toBe(200)
  expect(await count('idempotency_keys')).toBe(0)
})

test('a secret is not stored: its replay is null, and a header contains its path', async () => {
  const body = { api_key: { name: 'Mailer' } }
  const first = await post('k', '/api_keys', body)
  const { key } = first.body.api_key as { key: string }
  const second = await post('k', '/api_keys', body)
  expect(second.headers).toMatchObject({ 'idempotency-replayed': 'true', 'idempotency-omitted': 'api_key.key' })
  expect(second.status).toBe(201)
  expect(second.body).toEqual({ ...first.body, api_key: { ...(first.body.api_key as object), key: null } })
  expect(await count('api_keys where name = $1', ['Mailer'])).toBe(1)
  expect(await count('idempotency_keys where body like $1', [`%${key}%`])).toBe(0)
})

describe('an upload', () => {
  const upload = (key: string, payload: string, query = '') =>
    app
      .inject({
        method: 'POST',
        url: `/api/v2/lists/${list.id}/imports${query}`,
        headers: { authorization: basic(owner.key), 'content-type': 'text/csv', 'idempotency-key': key },
        payload,
      })
      .then(readResponse)

  test('is processed once; the same bytes get its response, other bytes are rejected and not staged', async () => {
    const file = 'phone_number\n2065550143\n2065550144\n'
    const first = await upload('k', file)
    expect(first).toMatchObject({ status: 202, body: { status: 'Import queued' } })
    const second = await upload('k', file)
    expect(second).toMatchObject({ status: 202, headers: { 'idempotency-replayed': 'true' } })
    expect(second.text).toBe(first.text)
    const reused = { status: 422, body: { code: 'idempotency_key_reused' } }
    expect(await upload('k', `${file}2065550145\n`)).toMatchObject(reused)
    expect(await upload('k', file, '?source=web')).toMatchObject(reused)
    expect(await count('imports')).toBe(1)
    expect(await count(`pg_class where relname like 'import\\_rows\\_%' and relkind = 'r'`)).toBe(1)
    expect(await count(`pgboss.job where name = 'imports.apply'`)).toBe(1)
  })

  test('can be corrected and sent again after it was rejected', async () => {
    expect((await upload('k', 'fax\n2065550143\n')).status).toBe(422)
    expect((await upload('k', 'phone_number\n2065550143\n')).status).toBe(202)
    expect(await count('imports')).toBe(1)
  })
})

test('a body with too many levels to be serialized is rejected with 400, not 500', async () => {
  const message = { content: 'Hello', draft: true }
  const made = await owner.post(`/lists/${list.id}/messages`, { message })
  const path = `/lists/${list.id}/messages/${(made.body.message as { id: number }).id}/copy`
  const payload = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`
  const response = await owner.post(path, undefined, { payload, headers: { 'idempotency-key': 'deep' } })
  expect(response).toMatchObject({ status: 400, body: { code: 'unreadable_request' } })
})
