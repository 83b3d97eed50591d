import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, makeCaller } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import { makeApp } from '../http/app.ts'
import type { Runtime } from '../runtime.ts'
import { countChanges } from '../subscribers/changes.queries.ts'
import { queueChange, requestChange } from '../subscribers/changes.ts'
import { rejectAtCap } from './caps.ts'

// Ten concurrent requests for the last three places of a cap: three succeed, the others are a 422.

let database: TestDatabase
let app: FastifyInstance
let owner: ApiCaller
let stranger: ApiCaller
let listId: number

const names = [
  ...['api_keys', 'lists', 'webhooks', 'custom_fields', 'drafts', 'scheduled_messages', 'queued_changes'],
  ...['open_imports', 'open_replays', 'open_momt_reports', 'flight_plans'],
]
const limit = 4
/** No more than the uploads of an account that run or wait. */
const requests = 10
const config = readEnv({
  CARILLON_RATE_LIMIT: 'off',
  CARILLON_CAPS: `keywords=3,${names.map((name) => `${name}=${limit}`).join(',')}`,
})

beforeEach(async () => {
  database = await freshDatabase()
  app = await makeApp(makeRuntime({ ...database, config }))
  owner = await makeCaller(database.db, app)
  stranger = await makeCaller(database.db, app)
  listId = (await makeList(owner)).id
})
afterEach(async () => {
  await app.close()
  await database.close()
})

async function makeList({ accountId, shortCode }: ApiCaller) {
  const list = await make.list(database.db, { accountId, shortCodeId: shortCode.id })
  await make.subscriber(database.db, { listId: list.id, phone: 2_065_550_141 })
  return list
}

type Create = (caller: ApiCaller, list: number, n: number) => Promise<{ status: number; body: Record<string, unknown> }>

const message = (fields: object) => ({ message: { content: 'Doors at seven', ...fields } })
const creations: Array<[name: string, existing: number, create: Create]> = [
  ['api_keys', 1, (caller, _, n) => caller.post('/api_keys', { api_key: { name: `Key ${n}` } })],
  ['lists', 1, (caller, _, n) => caller.post('/lists', { list: { name: `List ${n}` } })],
  [
    'webhooks',
    0,
    (caller, list) =>
      caller.post(`/lists/${list}/webhooks`, { webhook: { callback_url: 'https://example.org/x', subscribe: true } }),
  ],
  ['drafts', 0, (caller, list) => caller.post(`/lists/${list}/messages`, message({ draft: true }))],
  [
    'scheduled_messages',
    0,
    (caller, list) =>
      caller.post(`/lists/${list}/messages`, message({ send_at: new Date(Date.now() + 3_600_000).toISOString() })),
  ],
  [
    'queued_changes',
    0,
    (caller, list) =>
      caller.post(`/lists/${list}/bulk_taggings`, { bulk_tagging: { phone_numbers: ['2065550141'], tags: ['vip'] } }),
  ],
  [
    'open_imports',
    0,
    (caller, list) =>
      caller.send('POST', `/lists/${list}/imports`, { 'content-type': 'text/csv' }, 'phone\n2065550142\n'),
  ],
  [
    'open_replays',
    0,
    async (caller, list) => {
      const webhook = await make.webhook(database.db, { listId: list })
      await make.numberedEvent(database.db, { listId: list })
      return caller.post(`/lists/${list}/webhooks/${webhook.id}/replays`, { replay: { from_position: 1 } })
    },
  ],
  [
    'open_momt_reports',
    0,
    (caller) => caller.post('/momt_reports', { date_from: '2026-02-01', date_to: '2026-02-02' }),
  ],
  ['flight_plans', 0, (caller, list) => caller.post(`/lists/${list}/flight_plans`, message({}))],
]

test.each(creations)('%s: concurrent requests do not exceed the cap', async (name, existing, create) => {
  const responses = await Promise.all(Array.from({ length: requests }, (_, n) => create(owner, listId, n)))
  const rejected = responses.filter(({ status }) => status === 422)
  expect(responses.filter(({ status }) => status < 300)).toHaveLength(limit - existing)
  expect(rejected).toHaveLength(requests - limit + existing)
  const error = expect.stringMatching(new RegExp(`^At most ${limit} .* are allowed$`))
  for (const { body } of rejected) expect(body).toMatchObject({ status: 'error', code: `too_many_${name}`, error })
  // another account has its own
  expect((await create(stranger, (await makeList(stranger)).id, 99)).status).toBeLessThan(300)
})

test('custom fields and keywords have a cap per list', async () => {
  const responses = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      owner.post(`/lists/${listId}/custom_fields`, {
        custom_field: { key: `k${n}`, label: `L${n}`, content_type: 'text', max_length: '40' },
      }),
    ),
  )
  expect(responses.filter(({ status }) => status < 300)).toHaveLength(limit)
  expect(responses.find(({ status }) => status === 422)?.body.error).toContain('has too many custom fields')
  const keyword_names = ['ONE', 'TWO', 'THREE', 'FOUR']
  expect(await owner.put(`/lists/${listId}/keywords`, { keyword_names })).toMatchObject({
    status: 422,
    body: { code: 'too_many_keywords' },
  })
})

test('a draft that is scheduled, or the reverse, counts as the other', async () => {
  const send_at = new Date(Date.now() + 3_600_000).toISOString()
  const ids: number[] = []
  for (let n = 0; n < limit; n++) {
    const draft = await owner.post(`/lists/${listId}/messages`, message({ draft: true }))
    ids.push((draft.body.message as { id: number }).id)
    await owner.post(`/lists/${listId}/messages`, message({ send_at }))
  }
  const change = (to: string | null) => owner.put(`/lists/${listId}/messages/${ids[0]}`, { message: { send_at: to } })
  expect(await change(send_at)).toMatchObject({ status: 422, body: { code: 'too_many_scheduled_messages' } })
  expect((await owner.put(`/lists/${listId}/messages/${ids[0]}`, message({ content: 'At eight' }))).status).toBe(200)
})

describe('a request that stalls between its check and its commit', () => {
  const wideLimit = 300
  const wide = () =>
    makeRuntime({ ...database, config: { ...config, caps: { ...config.caps, queued_changes: wideLimit } } })
  const change = () => ({
    accountId: owner.accountId,
    listId,
    phones: [2_065_550_141],
    kind: 'add_tags' as const,
    tags: ['a'],
  })
  const countAll = () => countChanges(database.db, owner.accountId)
  const insertOthers = (count: number) =>
    database.db.exec(
      'others',
      `insert into subscriber_changes (account_id, list_id, kind, phones, tags, created_at)
       select $1, $2, 'add_tags', '{1}', '{a}', now() from generate_series(1, $3::int)`,
      [owner.accountId, listId, count],
    )

  /** Starts a request far below the cap, and returns when it is checked; `end` inserts and commits. */
  async function stall(rt: Runtime) {
    const checked = Promise.withResolvers<void>()
    const resumed = Promise.withResolvers<void>()
    const { accountId } = owner
    const done = rt.db.tx(async (tx) => {
      await rejectAtCap(tx, rt, { name: 'queued_changes', accountId }, () => countChanges(tx, accountId))
      checked.resolve()
      await resumed.promise
      await queueChange(tx, change(), new Date())
    })
    await Promise.race([checked.promise, done])
    return {
      end: () => {
        resumed.resolve()
        return done
      },
    }
  }

  test('cannot exceed the cap together with requests near it', async () => {
    const rt = wide()
    const stalled = await stall(rt)
    await insertOthers(wideLimit - 1)
    const near = requestChange(rt, change()).then(
      () => 'accepted',
      (error) => error.code,
    )
    const isWaiting = `select from pg_locks where locktype = 'advisory' and not granted`
    await Promise.race([near, waitFor(async () => (await database.db.many('waiting', isWaiting)).length > 0)])
    await stalled.end()
    expect(await near).toBe('too_many_queued_changes')
    expect(await countAll()).toBe(wideLimit)
  })

  test('does not delay other requests far below the cap', async () => {
    const rt = wide()
    const stalled = await stall(rt)
    for (let n = 0; n < 5; n++) await requestChange(rt, change())
    expect(await countAll()).toBe(5)
    await stalled.end()
    expect(await countAll()).toBe(6)
  })
})

describe('tags of a subscriber', () => {
  const tooMany = { status: 422, body: { status: 'error', code: 'too_many_tags' } }
  const tagsOf = async (path: string) => ((await owner.get(path)).body.subscriber as { tags: string[] }).tags
  const words = (from: number, count: number) => Array.from({ length: count }, (_, n) => `tag ${from + n}`)

  test('are at most a thousand, whatever adds them', async () => {
    const path = `/lists/${listId}/subscribers/2065550141`
    const put = (tags: string[], suffix = '') => owner.put(`${path}${suffix}`, { subscriber: { tags } })
    expect((await put(words(0, 990))).status).toBe(200)
    expect(await put(words(985, 20))).toMatchObject(tooMany)
    expect(await put(words(985, 20), '/async')).toMatchObject(tooMany)
    const numbers = { phone_numbers: ['2065550141'] }
    const bulk = (tags: string[]) =>
      owner.post(`/lists/${listId}/bulk_taggings`, { bulk_tagging: { ...numbers, tags } })
    expect(await bulk(words(985, 20))).toMatchObject(tooMany)
    expect(
      await owner.post(`/lists/${listId}/subscribers/add_tags`, { ...numbers, tags: words(985, 20) }),
    ).toMatchObject(tooMany)
    expect(await tagsOf(path)).toHaveLength(990)
    expect((await bulk(words(985, 15))).status).toBe(200)
  })
})
