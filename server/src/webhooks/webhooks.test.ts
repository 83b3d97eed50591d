import { afterEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { forEachEvent, webhookEventNames } from './webhook-events.ts'
import { updateWebhook, type WebhookChange } from './webhooks.queries.ts'

const start = new Date('2026-03-02T10:00:00.500Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

afterEach(() => {
  clock.time = start
})

type Body = { id: number } & Record<string, unknown>
const url = 'https://hooks.cedar.example/in?key=7f2a'
const flags = forEachEvent(() => false)

async function newList() {
  return make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
}

async function create(list: { id: number }, webhook: object = {}) {
  const response = await api.owner.post(`/lists/${list.id}/webhooks`, { webhook: { callback_url: url, ...webhook } })
  return response.body.webhook as Body
}

describe('creating', () => {
  test('stores the URL and the flags, and returns all keys in alphabetical order', async () => {
    const list = await newList()
    const response = await api.owner.post(`/lists/${list.id}/webhooks`, {
      webhook: { callback_url: url, subscribe: true, cleaned: true },
    })
    expect(response.status).toBe(201)
    expect(response.body).toEqual({
      status: 'Webhook created',
      webhook: {
        ...flags,
        callback_url: url,
        calls_per_second: null,
        headers: {},
        subscribe: true,
        cleaned: true,
        enabled: true,
        id: expect.any(Number),
        list_id: list.id,
        created_at: '2026-03-02T02:00:00-08:00',
        updated_at: '2026-03-02T02:00:00-08:00',
      },
    })
    const webhook = response.body.webhook as Body
    expect(Object.keys(webhook)).toEqual(Object.keys(webhook).toSorted())
    expect((await api.owner.get(`/lists/${list.id}/webhooks/${webhook.id}`)).body).toEqual({ status: 'OK', webhook })
  })

  test('accepts `url` instead of `callback_url`, and booleans as PHP sends them', async () => {
    const list = await newList()
    const given = { url, event: 'delivery_status', subscribe: '1', unsubscribe: 'false', message_sent: null }
    const response = await api.owner.post(`/lists/${list.id}/webhooks`, { webhook: given })
    expect(response.body.webhook).toMatchObject({ ...flags, callback_url: url, subscribe: true })
    expect(await create(list, { url: 'https://other.example/' })).toMatchObject({ callback_url: url })
  })

  test.each(['http://localhost:3000/in', 'http://127.0.0.1/', 'HTTPS://Hooks.Cedar.Example', 'http://[::1]:80/ä?ö#ü'])(
    'stores the URL %s unchanged',
    async (callback_url) => {
      expect(await create(await newList(), { callback_url })).toMatchObject({ callback_url })
    },
  )

  test.each([
    [{}, "Callback url can't be blank"],
    [{ callback_url: '' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'hooks.cedar.example' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'ftp://hooks.cedar.example/' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'https://' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'https://a b.example/' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'https://a.example/\r\nX: y' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'file:///etc/passwd' }, 'Callback url must be an http or https address'],
    [{ callback_url: 'https://a:b@c.example/' }, 'Callback url must not contain a user name or a password'],
    [{ callback_url: 'http://10.0.0.7/' }, 'Callback url must not be a private address'],
    [{ url: 'http://[fd00:ec2::254]/latest/' }, 'Callback url must not be a private address'],
    [
      { callback_url: 'http://a.example:25/' },
      'Callback url must not have the port 25, which is not one of a web server',
    ],
    [{ url: 'javascript:alert(1)' }, 'Callback url must be an http or https address'],
    [{ callback_url: 7 }, 'Callback url must be a string'],
    [{ callback_url: null }, 'Callback url must be a string'],
    [
      { callback_url: `https://a.example/${'a'.repeat(2_048)}` },
      'Callback url is too long (maximum is 2048 characters)',
    ],
    [{ callback_url: url, subscribe: 'yes' }, 'Subscribe is not included in the list'],
    [{ callback_url: url, cleaned: {} }, 'Cleaned must be a boolean, a string, an integer or null'],
  ])('rejects %j', async (webhook, error) => {
    const list = await newList()
    const response = await api.owner.post(`/lists/${list.id}/webhooks`, { webhook })
    expect(response.status).toBe(422)
    expect(response.body.error).toContain(`Validation failed: ${error}`)
    expect((await api.owner.get(`/lists/${list.id}/webhooks`)).body.count).toBe(0)
  })
})

test('a list has at most 20 webhooks', async () => {
  const list = await newList()
  const webhook = { callback_url: url }
  const deleted = await create(list)
  for (let n = 1; n < 20; n++) await create(list)
  // one that is deleted does not count, although its rows still exist
  expect((await api.owner.delete(`/lists/${list.id}/webhooks/${deleted.id}`)).status).toBe(200)
  expect(await create(list)).toMatchObject({ callback_url: url })
  expect(await api.owner.post(`/lists/${list.id}/webhooks`, { webhook })).toMatchObject({
    status: 422,
    body: { code: 'too_many_webhooks', error: 'At most 20 webhooks of a list are allowed' },
  })
  expect((await api.owner.get(`/lists/${list.id}/webhooks`)).body.count).toBe(20)
  expect(await create(await newList())).toMatchObject(webhook)
})

test('webhooks of a list are listed by page, oldest first', async () => {
  const list = await newList()
  const ids: number[] = []
  for (let n = 0; n < 3; n += 1) ids.push((await create(list)).id)
  await create(await newList())
  const response = await api.owner.get(`/lists/${list.id}/webhooks?page=2&per_page=2`)
  expect(response.body).toMatchObject({
    status: 'OK',
    per_page: 2,
    count: 3,
    page: 2,
    pages_count: 2,
    webhooks: [{ id: ids[2] }],
  })
})

test('the table has one boolean column for each event', async () => {
  const columns = await api.db.many<{ name: string }>(
    'webhook_flags',
    `select column_name as name from information_schema.columns
      where table_name = 'webhooks' and data_type = 'boolean'`,
  )
  expect(columns.map(({ name }) => name).sort()).toEqual(webhookEventNames.toSorted())
})

describe('changing', () => {
  test('updates only the keys in the request', async () => {
    const list = await newList()
    const before = await create(list, { subscribe: true, unsubscribe: true })
    clock.time = new Date(start.getTime() + 60_000)
    const path = `/lists/${list.id}/webhooks/${before.id}`
    const response = await api.owner.put(path, {
      webhook: { unsubscribe: false, cleaned: true, created_at: 'x', id: 1 },
    })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      status: 'Webhook updated',
      webhook: { ...before, unsubscribe: false, cleaned: true, updated_at: '2026-03-02T02:01:00-08:00' },
    })
    expect((await api.owner.put(path, { webhook: { url: 'http://new.example/' } })).body.webhook).toMatchObject({
      callback_url: 'http://new.example/',
      subscribe: true,
      cleaned: true,
    })
  })

  test('updates nothing if a value is rejected', async () => {
    const list = await newList()
    const webhook = await create(list)
    const path = `/lists/${list.id}/webhooks/${webhook.id}`
    for (const wrong of [
      { callback_url: null },
      { callback_url: 'x' },
      { url: 'http://192.168.0.1' },
      { subscribe: 2 },
    ]) {
      expect((await api.owner.put(path, { webhook: { cleaned: true, ...wrong } })).status).toBe(422)
    }
    expect((await api.owner.get(path)).body.webhook).toEqual(webhook)
  })

  test('applies concurrent changes of different keys', async () => {
    const fresh = await freshDatabase()
    try {
      const list = await make.list(fresh.db)
      const { id } = await make.webhook(fresh.db, { listId: list.id })
      const change = (events: WebhookChange['events']) =>
        updateWebhook(fresh.db, list.id, id, { callbackUrl: undefined, events }, new Date())
      await Promise.all([change({ subscribe: true }), change({ cleaned: true }), change({ message_sent: true })])
      const { events } = (await change({})) ?? {}
      expect(events).toEqual({ ...flags, subscribe: true, cleaned: true, message_sent: true })
    } finally {
      await fresh.close()
    }
  })
})

test('a deleted webhook is not found', async () => {
  const list = await newList()
  const { id } = await create(list)
  const path = `/lists/${list.id}/webhooks/${id}`
  expect(await api.owner.delete(path)).toMatchObject({ status: 200, body: { status: 'Webhook destroyed' } })
  const notFound = { status: 404, body: { status: 'error', error: 'Webhook not found', code: 'webhook_not_found' } }
  expect(await api.owner.get(path)).toMatchObject(notFound)
  expect(await api.owner.put(path, { webhook: {} })).toMatchObject(notFound)
  expect(await api.owner.delete(path)).toMatchObject(notFound)
})

test('a webhook is found only on its own list and by its own account', async () => {
  const list = await newList()
  const { id } = await create(list)
  const other = await newList()
  const theirs = await make.list(api.db, { accountId: api.stranger.accountId })
  for (const [person, path, error] of [
    [api.owner, `/lists/${other.id}/webhooks/${id}`, 'Webhook not found'],
    [api.owner, `/lists/${list.id}/webhooks/abc`, 'Webhook not found'],
    [api.stranger, `/lists/${theirs.id}/webhooks/${id}`, 'Webhook not found'],
    [api.stranger, `/lists/${list.id}/webhooks/${id}`, 'List not found'],
  ] as const) {
    for (const response of [
      await person.get(path),
      await person.put(path, { webhook: { callback_url: 'http://evil.example/' } }),
      await person.delete(path),
    ]) {
      expect(response).toMatchObject({ status: 404, body: { error } })
    }
  }
  expect((await api.owner.get(`/lists/${list.id}/webhooks/${id}`)).body.webhook).toMatchObject({ callback_url: url })
})
