import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../api.ts'
import { make } from '../make.ts'
import { bodies, isForOperators } from './bodies.ts'
import { checksumsOf } from './checksums.ts'
import { createFixtures, type Ids } from './fixtures.ts'

// What keys of a narrower scope may call: all reads except those of secrets, and with the scope `send` also what sends messages. An
// operation that differs from this must be in one of these lists. isolation.test.ts has the operations of operators.

const secrets = ['GET /lists/{list_id}/webhooks/{webhook_id}/secret', 'GET /callback_secret']

const sends = [
  'POST /transactional_messages',
  'POST /lists/{list_id}/messages',
  'PUT /lists/{list_id}/messages/{message_id}',
  'PATCH /lists/{list_id}/messages/{message_id}',
  'DELETE /lists/{list_id}/messages/{message_id}',
  ...['send', 'cancel', 'pause', 'resume', 'test', 'copy'].map(
    (action) => `POST /lists/{list_id}/messages/{message_id}/${action}`,
  ),
]

const scopes = ['read', 'send'] as const
type Scope = (typeof scopes)[number]

let ids: Ids
const keys = {} as Record<Scope, string>
const api = useApi({}, async ({ db, stranger }) => {
  ids = await createFixtures(db, stranger, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
  for (const scope of scopes) keys[scope] = (await make.apiKey(db, { accountId: stranger.accountId, scope })).key
})

const operations = Object.keys(bodies).filter((operation) => !isForOperators(operation))
const isRead = (operation: string) => operation.startsWith('GET ')
const isAllowed = (scope: Scope, operation: string) =>
  isRead(operation) ? !secrets.includes(operation) : scope === 'send' && sends.includes(operation)

function call(scope: Scope, operation: string) {
  const [method = '', template = ''] = operation.split(' ')
  const body = bodies[operation] ?? null
  const url = `/api/v2${template.replace(/\{(\w+)\}/g, (_, name) => ids[name] ?? '')}`
  const type = typeof body === 'string' ? 'text/csv' : 'application/json'
  const payload = body === null ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }
  const headers = { authorization: basic(keys[scope]), 'content-type': type }
  return api.app.inject({ method: method as 'GET', url, headers, ...payload })
}

test('the lists have operations that exist', () => {
  expect([...secrets, ...sends].filter((operation) => !operations.includes(operation))).toEqual([])
})

describe.each(scopes)('a key of scope %s', (scope) => {
  test.each(operations.filter((operation) => isAllowed(scope, operation)))('may call %s', async (operation) => {
    const response = await call(scope, operation)
    expect(response.statusCode, response.body).not.toBe(403)
    expect(response.statusCode).toBeLessThan(500)
  })

  test('gets a 403 for everything else, which changes nothing', async () => {
    const before = await checksumsOf(api.db)
    const responses: Record<string, unknown> = {}
    const rejected = operations.filter((operation) => !isAllowed(scope, operation))
    for (const operation of rejected) {
      const { statusCode, body } = await call(scope, operation)
      responses[operation] = `${statusCode} ${(JSON.parse(body) as { code: string }).code}`
    }
    expect(responses).toEqual(Object.fromEntries(rejected.map((operation) => [operation, '403 scope_too_narrow'])))
    expect(await checksumsOf(api.db)).toEqual(before)
  })
})
