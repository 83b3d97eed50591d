import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { Secret } from '../../config/secret.ts'
import type { Db } from '../../db/db.ts'
import { insertTestEvent } from '../../events/events.queries.ts'
import { getFeedPage } from '../../events/feed.ts'
import { FeedWaiters } from '../../events/feed-waiters.ts'
import { numberEvents } from '../../events/sequence.ts'
import { readBackup } from './read-backup.ts'
import { writeBackup } from './write-backup.ts'

// A reader of the feed, or a receiver that stores `webhook-id`, has seen events that happened after the backup.

const secretKey = new Secret('5a'.repeat(32))
let databases: TestDatabase[]
let origin: Db
let folder: string
let list: Awaited<ReturnType<typeof make.list>>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-backup-'))
  databases = [await freshDatabase()]
  origin = (databases[0] as TestDatabase).db
  await origin.exec('mode', `insert into installation (mode) values ('sandbox')`)
  list = await make.list(origin)
  await origin.exec('feed', 'update accounts set event_feed = true')
})
afterEach(async () => {
  await Promise.all(databases.map((database) => database.close()))
  rmSync(folder, { recursive: true, force: true })
})

async function backUp() {
  const file = join(folder, `${databases.length}.backup`)
  await writeBackup(databases.at(-1)?.url ?? '', file, secretKey)
  return file
}

async function restore(file: string): Promise<Db> {
  const copy = await freshDatabase('template0')
  databases.push(copy)
  await readBackup({ databaseUrl: copy.url, file, secretKey })
  return copy.db
}

/** Cleans a number, which is an event, and returns the event's position. */
async function happen(db: Db, phone: number): Promise<number> {
  await make.subscriber(db, { listId: list.id, phone })
  await db.exec(
    'clean',
    `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     values ($1, $2, $3, 'cleaned', 'carrier', 'mt:1', now())`,
    [list.accountId, list.id, phone],
  )
  let last = 0
  await numberEvents(db, async (_tx, events) => {
    last = events.at(-1)?.position ?? 0
  })
  return last
}

async function read(db: Db, after: number) {
  const request = { accountId: list.accountId, apiKeyId: 0, after, types: null, limit: 10, waitMs: 0 }
  const page = await getFeedPage(db, new FeedWaiters(db), { ...request, signal: new AbortController().signal })
  return { phones: page.events.map(({ payload }) => JSON.parse(payload).phone_number), next: page.nextAfter }
}

const lost = (after: number) => ({ status: 410, code: 'events_lost', details: { continue_after: [String(after)] } })

test('a restored copy uses no position again, and a reader that has read later events gets a 410', async () => {
  const kept = await happen(origin, 2_065_550_201)
  const file = await backUp()
  const read1 = await happen(origin, 2_065_550_202)
  const read2 = await happen(origin, 2_065_550_203)
  const copy = await restore(file)
  for (const after of [read1, read2]) await expect(read(copy, after)).rejects.toMatchObject(lost(kept))
  const empty = await read(copy, kept)
  expect(empty.phones).toEqual([])
  expect(await happen(copy, 2_065_550_204)).toBeGreaterThan(read2)
  for (const after of [read1, read2]) await expect(read(copy, after)).rejects.toMatchObject(lost(kept))
  expect((await read(copy, kept)).phones).toEqual(['2065550204'])
  expect((await read(copy, empty.next)).phones).toEqual(['2065550204'])
  expect((await read(copy, 0)).phones).toEqual(['2065550201', '2065550204'])
})

test('test events of a restored copy use no position of the original, or of another copy', async () => {
  const event = { accountId: list.accountId, listId: null, type: 'subscribe' as const, occurredAt: new Date() }
  const send = (db: Db) => insertTestEvent(db, { ...event, payload: '{}', callbackUrl: null })
  await send(origin)
  const file = await backUp()
  const later = [await send(origin), await send(origin)]
  const first = await send(await restore(file))
  const second = await send(await restore(file))
  expect(first).toBeGreaterThan(Math.max(...later))
  expect(second).toBeGreaterThan(first)
  expect(second).toBeLessThan(Number.MAX_SAFE_INTEGER)
})

test('an old backup that is restored again uses no position of the first copy', async () => {
  const kept = await happen(origin, 2_065_550_201)
  const old = await backUp()
  const first = await restore(old)
  const ofFirst = await happen(first, 2_065_550_202)
  const ofSecond = await restore(await backUp())
  await expect(read(ofSecond, ofFirst + 1)).rejects.toMatchObject(lost(ofFirst))
  const again = await restore(old)
  expect(await happen(again, 2_065_550_203)).toBeGreaterThan(await happen(ofSecond, 2_065_550_203))
  await expect(read(again, ofFirst)).rejects.toMatchObject(lost(kept))
})
