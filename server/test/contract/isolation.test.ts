import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../api.ts'
import { make } from '../make.ts'
import { bodies, isForOperators } from './bodies.ts'
import { checksumsOf } from './checksums.ts'
import { createFixtures, type Ids } from './fixtures.ts'
import { registeredOperations } from './routes.ts'

// Two accounts: with the other account's ids, every operation responds with 404 and changes nothing.

let ownerIds: Ids
let strangerIds: Ids
const api = useApi({}, async ({ db, owner, stranger }) => {
  ownerIds = await createFixtures(db, owner, { name: 'owner list', phone: 2_065_550_143 })
  strangerIds = await createFixtures(db, stranger, { name: 'stranger list', phone: 2_065_550_155 })
})
const checksums = () => checksumsOf(api.db)

test('the table of bodies has exactly the registered operations', () => {
  expect(Object.keys(bodies).sort()).toEqual(registeredOperations(api.app).sort())
})

const withIds = Object.entries(bodies).filter(([operation]) => operation.includes('{'))

describe.each(withIds)('%s', (operation, body) => {
  const [method = '', template = ''] = operation.split(' ')
  const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)

  // all ids of the other account; and the caller's own list with the other ids of the other account
  const mixes = [names, ...(names.length > 1 ? [names.slice(1)] : [])]
  test.each(mixes)("responds with 404 and changes nothing with another account's %s", async (...foreign) => {
    const before = await checksums()
    const response = await call(api.stranger.key, (name) => (foreign.includes(name) ? ownerIds : strangerIds)[name])
    expect(response).toMatchObject({ statusCode: 404 })
    expect(response.json()).toMatchObject({ status: 'error', error: expect.stringMatching(/ not found$/) })
    expect(await checksums()).toEqual(before)
  })

  test('finds the ids of the caller', async () => {
    // a donation requires a sent message
    if (template.endsWith('{message_id}/donations'))
      await api.stranger.post(`/lists/${strangerIds.list_id}/messages/${strangerIds.message_id}/send`)
    const [key, ids] = isForOperators(operation) ? [api.owner.key, ownerIds] : [api.stranger.key, strangerIds]
    const response = await call(key, (name) => ids[name])
    expect(response.statusCode).not.toBe(404)
    expect(response.statusCode).toBeLessThan(500)
  })

  function call(key: string, idOf: (name: string) => string | undefined) {
    const url = `/api/v2${template.replace(/\{(\w+)\}/g, (_, name) => idOf(name) ?? '')}`
    const type = typeof body === 'string' ? 'text/csv' : 'application/json'
    const payload = body === null ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }
    const headers = { authorization: basic(key), 'content-type': type }
    return api.app.inject({ method: method as 'GET', url, headers, ...payload })
  }
})

test('operations without ids return nothing of another account', async () => {
  const reads = Object.keys(bodies).filter((operation) => operation.startsWith('GET ') && !operation.includes('{'))
  expect(reads.length).toBeGreaterThan(3)
  for (const operation of reads) {
    const { status, text } = await api.stranger.get(operation.slice('GET '.length))
    expect(status).toBe(isForOperators(operation) ? 404 : 200)
    for (const secret of [api.owner.email, api.owner.shortCode.code, api.owner.key.slice(0, 20), 'owner list']) {
      expect(text, operation).not.toContain(secret)
    }
  }
})

test("a list cannot use another account's short code", async () => {
  const before = await checksums()
  const short_code = api.owner.shortCode.code
  expect((await api.stranger.post('/lists', { list: { name: 'Mine', short_code } })).status).toBe(422)
  expect((await api.stranger.put(`/lists/${strangerIds.list_id}`, { list: { short_code } })).status).toBe(422)
  expect(await checksums()).toEqual(before)
})

test('operator operations reject other accounts with 404 and keys of a narrower scope with 403', async () => {
  const operations = Object.entries(bodies).filter(([operation]) => isForOperators(operation))
  expect(operations.length).toBeGreaterThan(5)
  const keys = await Promise.all(
    ['read', 'send'].map((scope) => make.apiKey(api.db, { accountId: api.owner.accountId, scope })),
  )
  const before = await checksums()
  for (const [operation, body] of operations) {
    const [method = '', template = ''] = operation.split(' ')
    const url = `/api/v2${template.replace(/\{(\w+)\}/g, (_, name) => ownerIds[name] ?? '')}`
    const callAs = (key: string) => {
      const headers = { authorization: basic(key), 'content-type': 'application/json' }
      return api.app.inject({ method: method as 'GET', url, headers, payload: JSON.stringify(body) })
    }
    expect((await callAs(api.stranger.key)).json(), operation).toMatchObject({ error: 'Path not found' })
    for (const { key } of keys) expect((await callAs(key)).statusCode, operation).toBe(403)
  }
  expect(await checksums()).toEqual(before)
})
