import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { basic, useApi } from '../api.ts'
import { make } from '../make.ts'
import { bodies, isForOperators } from './bodies.ts'
import { createFixtures, type Ids } from './fixtures.ts'
import { registeredOperations } from './routes.ts'

// Two accounts: every operation with the other account's ids responds 404 and changes nothing.

const api = useApi()
let theirs: Ids
let mine: Ids

beforeEach(async () => {
  theirs = await createFixtures(api.db, api.owner, { name: 'owner list', phone: 2_065_550_143 })
  mine = await createFixtures(api.db, api.stranger, { name: 'stranger list', phone: 2_065_550_155 })
})

test('the table of bodies has every operation', () => {
  expect(Object.keys(bodies).sort()).toEqual(registeredOperations(api.app).sort())
})

const withIds = Object.entries(bodies).filter(([operation]) => operation.includes('{'))

describe.each(withIds)('%s', (operation, body) => {
  const [method = '', template = ''] = operation.split(' ')
  const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)

  // all of it another's; and with one's own list, what is on another's
  const mixes = [names, ...(names.length > 1 ? [names.slice(1)] : [])]
  test.each(mixes)("with another's %s is not there, and changes nothing", async (...foreign) => {
    const before = await dump()
    const response = await call(api.stranger.key, (name) => (foreign.includes(name) ? theirs : mine)[name])
    expect(response).toMatchObject({ statusCode: 404 })
    expect(response.json()).toMatchObject({ status: 'error', error: expect.stringMatching(/ not found$/) })
    expect(await dump()).toEqual(before)
  })

  test('with the ids of the caller is there', async () => {
    // a donation needs a message that was sent
    if (template.endsWith('{message_id}/donations'))
      await api.stranger.post(`/lists/${mine.list_id}/messages/${mine.message_id}/send`)
    const [key, ids] = isForOperators(operation) ? [api.owner.key, theirs] : [api.stranger.key, mine]
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

test("what an account reads without naming anything has nothing of another's in it", async () => {
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

test("no list of one's own sends from another's short code", async () => {
  const before = await dump()
  const short_code = api.owner.shortCode.code
  expect((await api.stranger.post('/lists', { list: { name: 'Mine', short_code } })).status).toBe(422)
  expect((await api.stranger.put(`/lists/${mine.list_id}`, { list: { short_code } })).status).toBe(422)
  expect(await dump()).toEqual(before)
})

test('operations for operators are not found by other accounts and by keys of a narrower scope', async () => {
  const operations = Object.entries(bodies).filter(([operation]) => isForOperators(operation))
  expect(operations.length).toBeGreaterThan(5)
  const keys = await Promise.all(
    ['read', 'send'].map((scope) => make.apiKey(api.db, { accountId: api.owner.accountId, scope })),
  )
  const before = await dump()
  for (const [operation, body] of operations) {
    const [method = '', template = ''] = operation.split(' ')
    const url = `/api/v2${template.replace(/\{(\w+)\}/g, (_, name) => theirs[name] ?? '')}`
    const callAs = (key: string) => {
      const headers = { authorization: basic(key), 'content-type': 'application/json' }
      return api.app.inject({ method: method as 'GET', url, headers, payload: JSON.stringify(body) })
    }
    expect((await callAs(api.stranger.key)).json(), operation).toMatchObject({ error: 'Path not found' })
    for (const { key } of keys) expect((await callAs(key)).statusCode, operation).toBe(403)
  }
  expect(await dump()).toEqual(before)
})

/** Returns a checksum of all rows of each table, without the time of a key's last use. */
async function dump(): Promise<Record<string, string>> {
  const tables = await api.db.many<{ name: string }>(
    'list_tables',
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema')
       and n.nspname not like 'pg\\_%'
     order by 1`,
    [],
  )
  const sums = tables.map(
    ({ name }) => `select '${name}' as name,
      md5(coalesce(string_agg((to_jsonb(t) - 'last_used_at')::text, '|' order by (to_jsonb(t))::text), '')) as sum
      from ${name} t`,
  )
  // named by its tables, of which an upload may have made one
  const statement = `dump_${createHash('md5')
    .update(tables.map(({ name }) => name).join())
    .digest('hex')}`
  const rows = await api.db.many<{ name: string; sum: string }>(statement, sums.join(' union all '), [])
  return Object.fromEntries(rows.map(({ name, sum }) => [name, sum]))
}
