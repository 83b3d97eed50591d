import { AsyncLocalStorage } from 'node:async_hooks'
import { availableParallelism } from 'node:os'
import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, makeCaller } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { poolDb } from '../db/db.ts'
import { makePool } from '../db/pool.ts'
import { useAccountPlaces } from './account-places.ts'
import { makeApp } from './app.ts'

// The pool of these tests has eight connections, and the default is five requests of an account at a time.

let database: TestDatabase
let app: FastifyInstance
let hostile: ApiCaller
let other: ApiCaller

beforeEach(async () => {
  database = await freshDatabase()
  app = await makeApp(makeRuntime(database))
  hostile = await makeCaller(database.db, app)
  other = await makeCaller(database.db, app)
})
afterEach(async () => {
  await app.close()
  await database.close()
})

test('slow requests of one account leave database connections to others, and end with a 429', async () => {
  const calls = await database.db.tx(async (tx) => {
    // each request reads this table first, with one statement
    await tx.exec('lock', 'lock table lists in access exclusive mode')
    const calls = Array.from({ length: 230 }, () => hostile.get('/lists/1/webhooks'))
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await waitFor(async () => (await database.db.exec('waiting', waiting)) === 5)
    const rejected = await Promise.race(calls)
    expect(rejected).toMatchObject({ status: 429, body: { code: 'too_many_requests_at_once' } })
    expect(rejected.headers['retry-after']).toBe('1')
    expect((await other.get('/api_keys')).status).toBe(200)
    expect(await database.db.exec('waiting', waiting)).toBe(5)
    return calls
  })
  const statuses = (await Promise.all(calls)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 404)).toHaveLength(205)
  expect(statuses.filter((status) => status === 429)).toHaveLength(25)
})

test('beside another account, one has as many places as cores, and requests beside its others have a low priority', async () => {
  const lowPool = makePool(database.url, pino({ level: 'silent' }), { name: 'low' })
  const rt = { ...makeRuntime(database), lowDb: poolDb(lowPool) }
  const shared = await makeApp(rt)
  const [many, few] = [await makeCaller(database.db, shared), await makeCaller(database.db, shared)]
  const expected = Math.min(5, Math.max(2, availableParallelism()))
  const calls = await database.db.tx(async (tx) => {
    // each request reads this table first, with one statement
    await tx.exec('lock', 'lock table lists in access exclusive mode')
    expect((await few.get('/api_keys')).status).toBe(200)
    const calls = Array.from({ length: 12 }, () => many.get('/lists/1/webhooks'))
    const waiting = async () => {
      const sql = `select application_name = 'low' as low from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
      return (await database.db.many<{ low: boolean }>('waiting_by_priority', sql)).map(({ low }) => low)
    }
    await waitFor(async () => (await waiting()).length >= expected)
    // the other account's requests are first among the accounts that wait
    expect((await few.get('/api_keys')).status).toBe(200)
    expect((await waiting()).toSorted()).toEqual([false, ...Array.from({ length: expected - 1 }, () => true)])
    return calls
  })
  for (const { status } of await Promise.all(calls)) expect(status).toBe(404)
  await shared.close()
  await lowPool.end()
})

describe('of requests beside those of other accounts', () => {
  type Begun = { account: number; isLow: boolean; end: () => void }
  let app: FastifyInstance
  let begun: Begun[]

  /** Starts an app with places whose requests last until their `end` is called. */
  function start(perAccount: number) {
    const priority = new AsyncLocalStorage<string>()
    app = Fastify()
    app.decorate('stopping', new AbortController().signal)
    app.decorateRequest('account')
    app.addHook('onRequest', async (req) => {
      req.account = { id: Number(req.headers.account) } as typeof req.account
    })
    useAccountPlaces(app, perAccount, (work) => priority.run('low', work)).releaseOnSend()
    begun = []
    app.get('/', async (req) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      begun.push({ account: req.account.id, isLow: priority.getStore() === 'low', end: resolve })
      await promise
      return {}
    })
  }
  const get = (account: number) => app.inject({ url: '/', headers: { account: String(account) } })
  afterEach(() => app.close())

  test('one that waited for the place of one with a low priority does not inherit that', async () => {
    start(2)
    // two accounts have all four places
    const calls = [1, 2, 1, 2, 3].map(get)
    await waitFor(async () => begun.length === 4)
    expect(begun.map(({ isLow }) => isLow)).toEqual([false, false, true, true])
    begun.find(({ isLow }) => isLow)?.end()
    await waitFor(async () => begun.length === 5)
    expect(begun.at(-1)).toMatchObject({ account: 3, isLow: false })
    for (const { end } of begun) end()
    await Promise.all(calls)
  })

  test('four at a time have a low priority, because each may use two of eight connections', async () => {
    start(20)
    const accounts = [1, 2, 3, 4, 5, 6]
    for (const _round of [1, 2]) {
      begun = []
      const calls = [...accounts, ...accounts].map(get)
      await waitFor(async () => begun.length === calls.length)
      expect(begun.filter(({ isLow }) => isLow).map(({ account }) => account)).toEqual([1, 2, 3, 4])
      for (const { end } of begun) end()
      await Promise.all(calls)
    }
  })
})

test('reads of the feed, which have no place, leave database connections to others', async () => {
  const calls = await database.db.tx(async (tx) => {
    await tx.exec('lock', 'lock table events in access exclusive mode')
    const calls = Array.from({ length: 12 }, () => hostile.get('/events?after=0'))
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await waitFor(async () => (await database.db.exec('waiting', waiting)) >= 2)
    expect((await other.get('/api_keys')).status).toBe(200)
    expect(await database.db.exec('waiting', waiting)).toBe(2)
    return calls
  })
  for (const { body } of await Promise.all(calls)) expect(body.code).toBe('event_feed_off')
})

test('a subscriber is read without a place', async () => {
  const calls = await database.db.tx(async (tx) => {
    await tx.exec('lock', 'lock table short_codes in access exclusive mode')
    const calls = Array.from({ length: 5 }, () => hostile.get('/shortcodes'))
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await waitFor(async () => (await database.db.exec('waiting', waiting)) === 5)
    expect((await hostile.get('/lists/999999/subscribers/2065550100')).status).toBe(404)
    return calls
  })
  for (const { status } of await Promise.all(calls)) expect(status).toBe(200)
})

test('places are free again after errors, rejected bodies and replays', async () => {
  const attempts = Array.from({ length: 12 }, (_, n) => [
    hostile.get('/lists/999999'),
    hostile.post('/lists', { list: {} }),
    hostile.post('/lists', { list: { name: 'Same' } }, { headers: { 'idempotency-key': `key ${n % 3}` } }),
    hostile.post('/lists', { list: { name: 'Same' } }, { headers: { 'idempotency-key': 'ä' } }),
  ])
  await Promise.all(attempts.flat())
  // a place that is not free would make these wait for ten seconds
  for (let n = 0; n < 5; n++) expect((await hostile.get('/accounts/me')).status).toBe(200)
})
