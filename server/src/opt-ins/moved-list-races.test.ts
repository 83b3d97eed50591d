import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { applyNextSlice, receiveImport } from '../imports/imports.ts'
import { findShortCodeLists } from '../inbound/destinations.queries.ts'
import { changeList, getList } from '../lists/lists.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { optOutOfShortCode } from './opt-out.ts'

// A STOP at the same time as something that changes which lists its short code has: a move of a list to or from it, and a new
// list with a file of subscribers. Whatever the order, the short code sends the number no text.

const phone = 2_065_550_143
/** Another subscriber, to whom the texts are sent. */
const other = 2_065_550_144
const at = new Date('2026-03-02T10:00:00Z')
const before = new Date('2026-03-01T10:00:00Z')

let database: TestDatabase
let accountId: number
let listId: number
let here: { id: number; code: string }
let there: { id: number; code: string }
const rt = (db = database.db) => makeRuntime({ db, url: database.url, clock: { now: () => at } })

beforeEach(async () => {
  database = await freshDatabase()
  accountId = (await make.account(database.db)).id
  here = await make.shortCode(database.db, { accountId })
  there = await make.shortCode(database.db, { accountId })
  listId = (await make.list(database.db, { accountId, shortCodeId: here.id })).id
  for (const each of [phone, other]) await make.subscriber(database.db, { listId, phone: each, at: before })
})
afterEach(() => database.close())

type Code = { id: number; code: string }
async function stopIn(tx: Db, { code }: Code, onRead?: () => Promise<unknown>) {
  const found = await findShortCodeLists(tx, code)
  if (!found) throw new Error('no such short code')
  await onRead?.()
  const senders = [{ phone, wording: 'STOP', actor: 'mo:1' }]
  return optOutOfShortCode(tx, found, { senders, method: 'stop', at })
}
const stop = (code: Code) => database.db.tx((tx) => stopIn(tx, code))
const move = (db = database.db) => changeList(rt(db), accountId, listId, {}, there.code)

const stateOn = async (id: number) => {
  const sql = 'select state from subscribers where list_id = $1 and phone = $2'
  return (await database.db.maybeOne<{ state: string }>('state', sql, [id, phone]))?.state
}
const blocks = async () => {
  const rows = await database.db.many<{ id: number }>('blocks', 'select short_code_id as id from blocks')
  return rows.map(({ id }) => id)
}
/** Sends a broadcast to the list, and returns the numbers that get it, or a text that was queued before. */
async function sentTo(id: number): Promise<number[]> {
  const list = await getList(database.db, accountId, id)
  await acceptBroadcast(rt(), { accountId, list, content: 'Soup on Friday' })
  while (await expandOnce(rt()));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: at, fromLane: 0, toLane: 9, limit: 99 }
  const sent: number[] = []
  for (const chunk of await claimChunks(database.db, claim)) {
    const queued = await listQueued(database.db, chunk)
    const ids = await markSubmitting(database.db, chunk, queued, at)
    sent.push(...queued.filter((row) => ids.includes(row.id)).map((row) => row.phone))
  }
  return sent.sort()
}
async function queueBroadcast() {
  const list = await getList(database.db, accountId, listId)
  await acceptBroadcast(rt(), { accountId, list, content: 'Bread on Monday' })
  while (await expandOnce(rt()));
}

describe('a list that moves to another short code', () => {
  // its queued texts are sent from the former one
  beforeEach(queueBroadcast)

  test('before the STOP to the former one commits', async () => {
    await database.db.tx(async (tx) => {
      await stopIn(tx, here)
      await move()
    })
    expect(await stateOn(listId)).toBe('unsubscribed')
    expect(await sentTo(listId)).toEqual([other, other])
  })

  test('after that STOP has read its lists, and before it opts out of them', async () => {
    await database.db.tx((tx) => stopIn(tx, here, () => move()))
    expect(await stateOn(listId)).toBe('unsubscribed')
    expect(await sentTo(listId)).toEqual([other, other])
  })

  test('after that STOP has committed', async () => {
    await database.db.tx(async (tx) => {
      await move(tx)
      await stop(here)
    })
    expect(await stateOn(listId)).toBe('unsubscribed')
    expect(await sentTo(listId)).toEqual([other, other])
  })

  test('before that STOP reads its lists', async () => {
    await move()
    await stop(here)
    expect(await stateOn(listId)).toBe('unsubscribed')
    expect(await sentTo(listId)).toEqual([other, other])
  })

  test.each([
    ['before the STOP to the new one commits', (tx: Db) => stopIn(tx, there), () => move()],
    ['after the STOP to the new one has committed', (tx: Db) => move(tx), () => stop(there)],
  ])('%s', async (_order, first, second) => {
    await database.db.tx(async (tx) => {
      await first(tx)
      await second()
    })
    expect(await blocks()).toEqual([there.id])
    // the STOP did not find the list, so the number is still on it
    expect(await stateOn(listId)).toBe('subscribed')
    // only the text that the former short code had queued is sent
    expect(await sentTo(listId)).toEqual([phone, other, other])
  })
})

describe('a new list with a file of subscribers', () => {
  async function receive(id: number): Promise<number> {
    return (await receiveImport(rt(), csvUpload({ id, accountId }, `phone\n${phone}\n${other}\n`))).id
  }
  async function makeListWithFile(): Promise<number> {
    const made = await make.list(database.db, { accountId, shortCodeId: here.id })
    const importId = await receive(made.id)
    while (await applyNextSlice(rt(), importId));
    return made.id
  }
  const hasLockWaiter = async () => {
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    return (await database.db.many('waiting', waiting)).length > 0
  }

  test('after the STOP has read its lists', async () => {
    let made = 0
    await database.db.tx((tx) =>
      stopIn(tx, here, async () => {
        made = await makeListWithFile()
      }),
    )
    // the STOP does not know the list, and the file did not see the block
    expect(await stateOn(made)).toBe('subscribed')
    expect(await blocks()).toEqual([here.id])
    expect(await sentTo(made)).toEqual([other])
  })

  test('before the STOP commits', async () => {
    const made = await database.db.tx(async (tx) => {
      await stopIn(tx, here)
      return makeListWithFile()
    })
    expect(await blocks()).toEqual([here.id])
    expect(await sentTo(made)).toEqual([other])
  })

  test('while its slice is applied: the STOP waits for it, and takes the number off', async () => {
    const made = await make.list(database.db, { accountId, shortCodeId: here.id })
    const importId = await receive(made.id)
    const { stopping } = await database.db.tx(async (tx) => {
      await applyNextSlice(rt(tx), importId)
      const stopping = stop(here)
      await waitFor(hasLockWaiter, { what: 'the STOP to wait' })
      return { stopping }
    })
    await stopping
    expect(await stateOn(made.id)).toBe('unsubscribed')
    expect(await sentTo(made.id)).toEqual([other])
  })

  test('that is created and filled in one transaction, which the STOP does not see', async () => {
    const made = await database.db.tx(async (tx) => {
      const list = await make.list(tx, { accountId, shortCodeId: here.id })
      for (const each of [phone, other]) await make.subscriber(tx, { listId: list.id, phone: each, at: before })
      await stop(here)
      return list.id
    })
    expect(await stateOn(made)).toBe('subscribed')
    expect(await sentTo(made)).toEqual([other])
  })

  test('after the STOP: the number is not added', async () => {
    await stop(here)
    const made = await makeListWithFile()
    expect(await stateOn(made)).toBeUndefined()
    expect(await sentTo(made)).toEqual([other])
  })
})
