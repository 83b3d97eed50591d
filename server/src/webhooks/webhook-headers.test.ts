import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { makeSealer } from '../connections/secrets.ts'
import type { Sealer } from '../lib/seal.ts'
import { openHeaders } from './delivery/custom-headers.ts'
import type { WebhookChange } from './webhooks.queries.ts'
import { changeWebhook, getWebhook } from './webhooks.ts'

const api = useApi()
const url = 'https://hooks.cedar.example/in'

let list: { id: number }
beforeEach(async () => {
  list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
})

type Webhook = { id: number; headers: Record<string, string>; calls_per_second: number | null }

const post = (webhook: object) =>
  api.owner.post(`/lists/${list.id}/webhooks`, { webhook: { callback_url: url, ...webhook } })
const put = (id: number, webhook: object) => api.owner.put(`/lists/${list.id}/webhooks/${id}`, { webhook })
const create = async (webhook: object) => (await post(webhook)).body.webhook as Webhook

/** The headers that deliveries to the webhook have. */
async function sent(id: number) {
  const { headers } = await api.db.one<{ headers: Buffer | null }>(
    'read_headers',
    'select headers from endpoints where webhook_id = $1',
    [id],
  )
  return { sealed: headers, opened: openHeaders(makeSealer(api.rt.config) as Sealer, headers) }
}

test('values are stored sealed, and no response contains them', async () => {
  const response = await post({
    headers: { Authorization: 'Bearer swordfish', 'X-Tenant': 'cedar' },
    calls_per_second: 5,
  })
  expect(response.status).toBe(201)
  const webhook = response.body.webhook as Webhook
  const shown = { Authorization: '[hidden]', 'X-Tenant': '[hidden]' }
  expect(webhook).toMatchObject({ headers: shown, calls_per_second: 5 })
  const { sealed, opened } = await sent(webhook.id)
  expect(opened).toEqual([
    ['Authorization', 'Bearer swordfish'],
    ['X-Tenant', 'cedar'],
  ])
  expect(sealed?.toString('latin1')).not.toContain('swordfish')
  const listed = await api.owner.get(`/lists/${list.id}/webhooks`)
  expect(listed.body.webhooks).toMatchObject([{ headers: shown, calls_per_second: 5 }])
})

test('a change without them changes neither; a change of one keeps the other', async () => {
  const { id } = await create({ headers: { 'X-A': '1' }, calls_per_second: 5 })
  expect((await put(id, { cleaned: true })).body.webhook).toMatchObject({ calls_per_second: 5 })
  expect((await sent(id)).opened).toEqual([['X-A', '1']])
  expect((await put(id, { calls_per_second: null })).body.webhook).toMatchObject({ calls_per_second: null })
  expect((await sent(id)).opened).toEqual([['X-A', '1']])
  expect((await put(id, { headers: { 'X-B': '2' } })).body.webhook).toMatchObject({ headers: { 'X-B': '[hidden]' } })
  expect((await sent(id)).opened).toEqual([['X-B', '2']])
  for (const headers of [null, {}]) {
    expect((await put(id, { headers })).body.webhook).toMatchObject({ headers: {} })
    expect((await sent(id)).sealed).toBeNull()
  }
})

test('a webhook that is written back as it was read keeps its values', async () => {
  const webhook = await create({ headers: { 'X-A': '1', 'X-B': '2' } })
  expect((await put(webhook.id, webhook)).body.webhook).toMatchObject({ headers: webhook.headers })
  await put(webhook.id, { headers: { 'x-b': '[hidden]', 'X-C': '3' } })
  expect((await sent(webhook.id)).opened).toEqual([
    ['x-b', '2'],
    ['X-C', '3'],
  ])
})

test('concurrent changes of headers and rate are both applied', async () => {
  const fresh = await freshDatabase()
  try {
    const rt = makeRuntime(fresh)
    const { accountId, id: listId } = await make.list(fresh.db)
    const { id } = await make.webhook(fresh.db, { listId })
    const change = (given: Partial<WebhookChange>) =>
      changeWebhook(rt, accountId, listId, id, { callbackUrl: undefined, events: {}, ...given })
    await Promise.all([
      change({ callsPerSecond: 7 }),
      change({ headers: [['X-A', '1']] }),
      change({ callsPerSecond: 8 }),
    ])
    const { callsPerSecond, headerNames } = await getWebhook(fresh.db, accountId, listId, id)
    expect([7, 8]).toContain(callsPerSecond)
    expect(headerNames).toEqual(['X-A'])
  } finally {
    await fresh.close()
  }
})

test('a webhook of another account keeps its headers', async () => {
  const { id } = await create({ headers: { 'X-A': '1' } })
  const path = `/lists/${list.id}/webhooks/${id}`
  expect((await api.stranger.put(path, { webhook: { headers: { 'X-B': '2' } } })).status).toBe(404)
  expect((await sent(id)).opened).toEqual([['X-A', '1']])
})

describe('rejects, without a change', () => {
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`X-${n}`, '1']))
  const long = Object.fromEntries(Array.from({ length: 7 }, (_, n) => [`X-${n}`, 'v'.repeat(1_000)]))
  const reserved = [
    ...['Host', 'content-LENGTH', 'Content-Type', 'Content-Encoding', 'Transfer-Encoding', 'Connection', 'Keep-Alive'],
    ...['User-Agent', 'Accept-Encoding', 'TE', 'Trailer', 'Upgrade', 'Expect', 'Proxy-Authorization', 'Date'],
    ...[
      'webhook-id',
      'Webhook-Signature',
      'WEBHOOK-ANYTHING',
      'HTTP2-Settings',
      'Carillon-After-Dead-Letter',
      '__proto__',
    ],
  ]
  test.each<[unknown, string]>([
    ...reserved.map((name): [unknown, string] => [
      { [name]: 'x' },
      `Headers has the name "${name}", which deliveries use`,
    ]),
    ...['', 'a b', 'a:', ':path', 'X\r\nHost', 'ä', 'x\t', '(x)', 'a,b'].map((name): [unknown, string] => [
      { [name]: 'x' },
      `Headers has the name ${JSON.stringify(name)}, which is not the name of a header`,
    ]),
    ...['', 'a\r\nX-B: c', 'a\nb', ' a', 'a ', 'ä', 'a\tb', '\u007f'].map((value): [unknown, string] => [
      { 'X-A': value },
      'Headers has a value of "X-A" that is not printable ASCII',
    ]),
    [{ 'X-A': '1', 'x-a': '2' }, 'Headers has the name "x-a" twice'],
    [{ 'X-A': 'v'.repeat(1_001) }, 'Headers has a value of "X-A" of more than 1000 characters'],
    [{ ['x'.repeat(101)]: '1' }, 'Headers has the name "x'],
    [many, 'Headers must be at most 20 headers'],
    [long, 'Headers must have at most 6000 characters in all'],
    [{ 'X-B': '[hidden]' }, 'Headers has no stored value of "X-B" to keep'],
    ['X-A: 1', 'Headers must be an object or null'],
    [['X-A'], 'Headers must be an object or null'],
  ])('%j', async (headers, error) => {
    const { id } = await create({ headers: { 'X-A': '1' } })
    const response = await put(id, { headers, callback_url: 'https://other.example/' })
    expect(response).toMatchObject({ status: 422, body: { error: expect.stringContaining(error) } })
    expect((await sent(id)).opened).toEqual([['X-A', '1']])
    expect((await api.owner.get(`/lists/${list.id}/webhooks/${id}`)).body.webhook).toMatchObject({ callback_url: url })
    expect((await post({ headers })).status).toBe(422)
  })

  test.each([0, -1, 1_001, 1.5, 'fast', {}])('%j calls per second', async (calls_per_second) => {
    expect((await post({ calls_per_second })).status).toBe(422)
  })

  test('a value that is no text, and shows no value in the error', async () => {
    for (const value of [7, null, ['a'], { a: 'b' }])
      expect((await post({ headers: { 'X-A': value } })).status).toBe(422)
    const { body } = await post({ headers: { 'X-A': 'swordfish\n' } })
    expect(JSON.stringify(body)).not.toContain('swordfish')
  })
})
