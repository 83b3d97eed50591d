import { beforeEach, describe, expect, test } from 'vitest'
import { basic, useApi } from '../api.ts'
import { waitFor } from '../wait-for.ts'
import { bodies } from './bodies.ts'
import { checksumsOf } from './checksums.ts'
import { createFixtures, type Ids } from './fixtures.ts'

// What a web page can make a browser do with a stored key, for every operation.

const api = useApi()
let ids: Ids

beforeEach(async () => {
  ids = await createFixtures(api.db, api.owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
})

const reads = Object.keys(bodies).filter((operation) => operation.startsWith('GET '))
const writes = Object.keys(bodies).filter((operation) => !operation.startsWith('GET '))

function call(operation: string, headers: Record<string, string>) {
  const [method = '', template = ''] = operation.split(' ')
  const url = `/api/v2${template.replace(/\{(\w+)\}/g, (_, name) => ids[name] ?? '')}`
  const body = bodies[operation] ?? null
  const payload = body === null ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }
  const authorization = basic(api.owner.key)
  return api.app.inject({ method: method as 'GET', url, headers: { authorization, ...headers }, ...payload })
}

describe.each<Record<string, string>>([
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' },
  { origin: 'https://evil.example' },
  { origin: 'null' },
])('with %j', (headers) => {
  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json', 'text/csv'])(
    'no operation accepts a body labeled %s, and nothing changes',
    async (type) => {
      const before = await checksumsOf(api.db)
      expect(writes.length).toBeGreaterThan(30)
      for (const operation of writes) {
        const response = await call(operation, { ...headers, 'content-type': type })
        expect(response.json(), operation).toMatchObject({ status: 'error', code: 'foreign_origin' })
        expect(response.statusCode, operation).toBe(403)
      }
      expect(await checksumsOf(api.db)).toEqual(before)
    },
  )
})

test('no GET writes to the database', async () => {
  // the fixtures have used the key; its last use is stored once a minute
  await waitFor(async () => {
    const used = 'select last_used_at is not null as "isStored" from api_keys where id = $1'
    return (await api.db.one<{ isStored: boolean }>('test_key_use', used, [api.owner.keyId])).isStored
  })
  await api.db.exec('forbid_writes', 'set transaction read only')
  expect(reads.length).toBeGreaterThan(20)
  for (const operation of reads) expect((await call(operation, {})).statusCode, operation).toBe(200)
})
