import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { callerFinder } from './api-keys.ts'
import { seedSandbox } from './sandbox.ts'

const ctx = useDatabase()

const now = new Date('2026-11-20T10:00:00Z')
const email = 'seed@carillon.example'

async function rows(table: string): Promise<number> {
  return (await ctx.db.one<{ n: number }>(`count_${table}`, `select count(*) as n from ${table}`)).n
}

async function callerOf(key: string | undefined) {
  const caller = await callerFinder(ctx.db, 'sandbox')(key ?? '')
  return typeof caller === 'object' ? caller : undefined
}

test('creates an account, a working key, a short code and a list with subscribers and their consent', async () => {
  const seeded = await seedSandbox(ctx.db, { email }, now)
  expect(seeded).toMatchObject({ email, apiKey: expect.stringMatching(/^carillon_key_/), shortCode: '88222' })
  expect(await callerOf(seeded.apiKey)).toMatchObject({ account: { email }, apiKey: { scope: 'full', sandbox: true } })
  const people = await ctx.db.many(
    'read_people',
    `select s.phone, s.state, o.kind, o.method, o.source from subscribers s
       left join opts o on o.list_id = s.list_id and o.phone = s.phone where s.list_id = $1 order by s.phone`,
    [seeded.listId],
  )
  expect(people).toHaveLength(6)
  expect(people[0]).toEqual({
    phone: 2065550102,
    state: 'subscribed',
    kind: 'opt_in',
    method: 'api',
    source: 'sandbox',
  })
  const counted = await ctx.db.one('sum', 'select sum(subscribed)::int as n from list_deltas where list_id = $1', [
    seeded.listId,
  ])
  expect(counted).toEqual({ n: 6 })
})

test('changes nothing the second time', async () => {
  const first = await seedSandbox(ctx.db, { email }, now)
  await ctx.db.exec('opt_out', `update subscribers set state = 'unsubscribed' where list_id = $1`, [first.listId])
  const before = [await rows('api_keys'), await rows('lists'), await rows('subscribers'), await rows('opts')]
  const second = await seedSandbox(ctx.db, { email }, now)
  expect(second).toEqual({ ...first, apiKey: undefined })
  expect(await seedSandbox(ctx.db, { email, apiKey: first.apiKey ?? '' }, now)).toEqual(first)
  expect([await rows('api_keys'), await rows('lists'), await rows('subscribers'), await rows('opts')]).toEqual(before)
})

test('accepts a given key of any length, and a second one later', async () => {
  expect((await seedSandbox(ctx.db, { email, apiKey: 'secret' }, now)).apiKey).toBe('secret')
  await seedSandbox(ctx.db, { email, apiKey: 'carillon_key_0123456789012345678901234567890123456789012' }, now)
  expect(await callerOf('secret')).toMatchObject({ account: { email } })
  expect(await callerOf('carillon_key_0123456789012345678901234567890123456789012')).toMatchObject({
    account: { email },
  })
})

test('renames the account when the same key is given with another email', async () => {
  const first = await seedSandbox(ctx.db, { email, apiKey: 'secret' }, now)
  const second = await seedSandbox(ctx.db, { email: 'new@carillon.example', apiKey: 'secret' }, now)
  expect(second).toEqual({ ...first, email: 'new@carillon.example' })
  expect(await callerOf('secret')).toMatchObject({ account: { email: 'new@carillon.example' } })
})

test('creates another list for the banner after all lists were deleted', async () => {
  const first = await seedSandbox(ctx.db, { email }, now)
  await ctx.db.exec('delete_list', 'update lists set deleted_at = now() where id = $1', [first.listId])
  const second = await seedSandbox(ctx.db, { email }, now)
  expect(second.listId).not.toBe(first.listId)
})
