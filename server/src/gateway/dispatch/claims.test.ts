import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import type { Db } from '../../db/db.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
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
// claims for broadcasts: how many were made, and how many are under way
let asked: number
let underWay: number

beforeEach(async () => {
  database = await freshDatabase()
  const { db } = database
  leased = []
  asked = 0
  underWay = 0
  const { many } = db
  const watched = async (name: string, ...rest: [string, unknown[]?]) => {
    if (name !== 'claim_broadcasts') return many(name, ...rest)
    asked++
    underWay++
    return many(name, ...rest).finally(() => underWay--)
  }
  const instanceId = '0d9b4a34-6c0f-4a7c-9c0e-0d2f6a3c1b11'
  const { clock, log } = makeRuntime({ db })
  // nothing is found by polling here: what is asked for, is asked for because it is wanted
  const options = {
    db: { ...db, many: watched as Db['many'] },
    clock,
    log,
    routes,
    instanceId,
    leaseMs: 60_000,
    pollMs: 3_600_000,
  }
  claims = new Claims({ ...options, leased: () => leased, take: (chunk) => leased.push(chunk) })
})
afterEach(async () => {
  claims.stop()
  await database.close()
})

async function broadcast(recipients: number): Promise<void> {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  await database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, opt_in_method, subscribed_at, opted_in_at)
     select $1, 2060000000 + n, now(), 'subscribed', 'api', now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, $2::int) n`,
    [list.id, recipients],
  )
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Doors at seven' })
  while (await expandOnce(rt)) {}
}

const left = () => leased.reduce((sum, each) => sum + each.left, 0)

/** So many of what is in hand are texted. */
function text(recipients: number): void {
  for (const each of leased) {
    const taken = each.take(Math.min(recipients, each.left)).length
    recipients -= taken
  }
  leased = leased.filter((each) => each.left > 0)
}

test('a single broadcast is claimed again before its leased recipients run out', async () => {
  await broadcast(12_000)
  claims.look()
  await waitFor(() => left() >= 3_000)
  for (let texted = 0; texted < 8_000; texted += 250) {
    text(250)
    claims.lookIfWanted()
    await waitFor(() => underWay === 0)
    await waitFor(() => left() > 1_500, { timeoutMs: 3_000, what: 'more of it to be leased' })
  }
})

test('an exhausted broadcast is not claimed after each text', async () => {
  await broadcast(900)
  claims.look()
  await waitFor(() => left() === 900)
  asked = 0
  for (let n = 0; n < 50; n++) {
    text(10)
    claims.lookIfWanted()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(left()).toBe(400)
  expect(asked).toBeLessThanOrEqual(3)
})
