import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { getList } from '../lists/lists.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'
import { optOutOfShortCode } from './opt-out.ts'
import { type AddInput, addSubscriber } from './subscribe.ts'

// A STOP at the same time as an add of the number, after the wait of an earlier STOP, in each order.

const phone = 2_065_550_143
const clock = { time: new Date('2026-03-02T10:00:00Z'), now: () => clock.time }

let database: TestDatabase
let input: AddInput
const rt = () => makeRuntime({ db: database.db, url: database.url, clock })

beforeEach(async () => {
  database = await freshDatabase()
  const { id, accountId } = await make.list(database.db)
  await database.db.exec('welcome', `update lists set first_optin_message = 'Welcome'`)
  const list = await getList(database.db, accountId, id)
  input = { list, phone, profile: {}, bypassProcess: true, bypassResponse: true, actor: 'key:1' }
})
afterEach(() => database.close())

const stopIn = (tx: Db) => {
  const { id, accountId, shortCodeId } = input.list
  const senders = [{ phone, wording: 'STOP', actor: 'mo:1' }]
  return optOutOfShortCode(tx, { accountId, shortCodeId, listIds: [id] }, { senders, method: 'stop', at: clock.time })
}
const stop = () => database.db.tx(stopIn)

async function afterTheWait() {
  await stop()
  clock.time = new Date(clock.time.getTime() + 48 * 3_600_000)
}

const hasLockWaiter = async () => {
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return (await database.db.many('waiting', waiting)).length > 0
}
const isBlocked = async () => (await database.db.many('blocks', 'select from blocks')).length > 0
const states = () => database.db.many('states', 'select state from subscribers')

/** Marks all queued texts, as a gateway does, and returns how many would be sent. */
async function countSubmitted(): Promise<number> {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: clock.time, fromLane: 0, toLane: 9, limit: 9 }
  let count = 0
  for (const chunk of await claimChunks(database.db, claim)) {
    count += (await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), clock.time)).length
  }
  return count
}

test('an add that waits for the STOP finds the new wait', async () => {
  await afterTheWait()
  const { adding } = await database.db.tx(async (tx) => {
    await stopIn(tx)
    const adding = addSubscriber(rt(), input)
    await waitFor(hasLockWaiter)
    return { adding }
  })
  expect((await adding).outcome).toBe('security_timeout')
  expect(await isBlocked()).toBe(true)
})

test('a STOP that waits for an add with both flags opts the number out again', async () => {
  await afterTheWait()
  const { stopping } = await database.db.tx(async (tx) => {
    expect((await addSubscriber({ ...rt(), db: tx }, input)).outcome).toBe('added')
    const stopping = stop()
    await waitFor(hasLockWaiter)
    return { stopping }
  })
  await stopping
  expect(await isBlocked()).toBe(true)
  expect(await states()).toEqual([{ state: 'unsubscribed' }])
})

test('a STOP that waits for an add without flags takes the pending number off the list', async () => {
  await afterTheWait()
  const { stopping } = await database.db.tx(async (tx) => {
    const added = await addSubscriber({ ...rt(), db: tx }, { ...input, bypassProcess: false })
    expect(added.outcome).toBe('pending')
    const stopping = stop()
    await waitFor(hasLockWaiter)
    return { stopping }
  })
  await stopping
  expect(await countSubmitted()).toBe(0)
  expect(await states()).toEqual([{ state: 'unsubscribed' }])
})

test.each([
  ['the welcome', true],
  ['the opt-in request', false],
])('a first STOP that does not see the add stops %s', async (_text, bypassProcess) => {
  await database.db.tx(async (tx) => {
    await addSubscriber({ ...rt(), db: tx }, { ...input, bypassProcess, bypassResponse: false })
    // nothing is committed yet that the STOP could find
    await stop()
  })
  expect(await database.db.many('texts', 'select from message_log')).toHaveLength(1)
  expect(await countSubmitted()).toBe(0)
  expect(await isBlocked()).toBe(true)
})
