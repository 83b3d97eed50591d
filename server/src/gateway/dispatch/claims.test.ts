import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import type { Db } from '../../db/db.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
import { sendTransactional } from '../../messages/transactional/transactional-messages.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import { Claims } from './claims.ts'

const routes = {
  pace: Number.POSITIVE_INFINITY,
  sendable: () => ({ allBut: true, ids: [] }),
  needsCarriers: () => false,
} as unknown as SendingRoutes

let database: TestDatabase
let claims: Claims
let leased: LeasedChunk[]
// claims of broadcast chunks: how many were started, and how many are running
let started: number
let running: number
// statements that loaded recipients
let loads: number

beforeEach(async () => {
  database = await freshDatabase()
  const { db } = database
  leased = []
  started = 0
  running = 0
  loads = 0
  const { many } = db
  const countedMany = async (name: string, ...query: [string, unknown[]?]) => {
    if (name.startsWith('list_queued')) loads++
    if (name !== 'claim_broadcasts') return many(name, ...query)
    started++
    running++
    return many(name, ...query).finally(() => running--)
  }
  const instanceId = '0d9b4a34-6c0f-4a7c-9c0e-0d2f6a3c1b11'
  const { clock, log } = makeRuntime({ db })
  // the poll is never due in these tests, so every claim has another cause
  const options = {
    db: { ...db, many: countedMany as Db['many'] },
    clock,
    log,
    routes,
    instanceId,
    leaseMs: 60_000,
    pollMs: 3_600_000,
  }
  claims = new Claims({ ...options, leased: () => leased, onLeased: (chunk) => leased.push(chunk) })
})
afterEach(async () => {
  claims.stop()
  await database.close()
})

async function broadcast(recipients: number, owner: { accountId?: number } = {}): Promise<number> {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db, owner)
  await database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, opt_in_method, subscribed_at, opted_in_at)
     select $1, 2060000000 + n, now(), 'subscribed', 'api', now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, $2::int) n`,
    [list.id, recipients],
  )
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Doors at seven' })
  while (await expandOnce(rt)) {}
  return list.accountId
}

const remaining = () => leased.reduce((sum, each) => sum + each.remaining, 0)

/** Takes this many recipients from the leased chunks. */
function takeRecipients(count: number): void {
  for (const each of leased) {
    const taken = each.take(Math.min(count, each.remaining)).length
    count -= taken
  }
  leased = leased.filter((each) => each.remaining > 0)
}

test('a single broadcast is claimed again before its leased recipients run out', async () => {
  await broadcast(12_000)
  claims.claimNow()
  await waitFor(() => remaining() >= 3_000)
  for (let taken = 0; taken < 8_000; taken += 250) {
    takeRecipients(250)
    claims.claimIfLow()
    await waitFor(() => running === 0)
    await waitFor(() => remaining() > 1_500, { timeoutMs: 3_000, what: 'more of its chunks to be leased' })
  }
})

test('an account with many broadcasts does not keep another one from its first chunk', async () => {
  const accountId = await broadcast(1)
  for (let n = 0; n < 70; n++) await broadcast(1, { accountId })
  claims.claimNow()
  await waitFor(() => leased.length >= 64 && running === 0)
  claims.claimNow()
  await waitFor(() => running === 0)
  const before = leased.length
  expect(before).toBeLessThan(71)
  const other = await broadcast(1)
  claims.claimNow()
  await waitFor(() => leased.some(({ chunk }) => chunk.accountId === other))
  expect(leased).toHaveLength(before + 1)
})

test('a broadcast without further chunks is not claimed after each text', async () => {
  await broadcast(900)
  claims.claimNow()
  await waitFor(() => remaining() === 900)
  started = 0
  for (let n = 0; n < 50; n++) {
    takeRecipients(10)
    claims.claimIfLow()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(remaining()).toBe(400)
  expect(started).toBeLessThanOrEqual(3)
})

test('the recipients of urgent texts that are claimed together are loaded together', async () => {
  const rt = makeRuntime({ db: database.db })
  const { accountId } = await make.list(database.db)
  const phones = [2065550101, 2065550102, 2065550103]
  for (const phone of phones) {
    const text = { accountId, phone, content: 'Your code is 318', webhookCallbackUrl: null, field: 'number' }
    await sendTransactional(rt, text)
  }
  claims.claimNow()
  await waitFor(() => leased.length === phones.length)
  expect(loads).toBe(1)
  expect(leased.map((each) => each.take(9).map(({ phone }) => phone))).toEqual(phones.map((phone) => [phone]))
})
