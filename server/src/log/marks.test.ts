import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import type { Chunk, Recipient } from './chunk.ts'
import { claimChunks } from './claims.queries.ts'
import { markSubmitting } from './marks.queries.ts'

// The checks of a mark besides consent: a pause, the message's deadline, the chunk's window.

const now = new Date('2031-05-06T18:00:00Z')
const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000)

let database: TestDatabase
let messageId: number
let chunk: Chunk
let queued: Recipient[]
beforeEach(async () => {
  database = await freshDatabase()
  const rt = { ...makeRuntime({ db: database.db }), clock: { now: () => now } }
  const list = await make.list(database.db)
  for (let n = 0; n < 3; n++) await make.subscriber(database.db, { listId: list.id })
  messageId = (await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Soup on Friday' })).id
  while (await expandOnce(rt));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now, fromLane: 0, toLane: 9, limit: 1 }
  chunk = (await claimChunks(database.db, claim))[0] as Chunk
  queued = await listQueued(database.db, chunk)
})
afterEach(() => database.close())

const set = (column: string, value: Date | null = now) =>
  database.db.exec(`set_${column}`, `update messages set ${column} = $2 where id = $1`, [messageId, value])
const setChunk = (assignment: string) => database.db.exec('set_chunk', `update send_chunks set ${assignment}`)
const mark = async (at = now) => (await markSubmitting(database.db, chunk, queued, at)).length
const reasons = () =>
  database.db.many('reasons', 'select distinct state, reason from message_log where message_id = $1', [messageId])
const checkedCounters = async () => {
  await checkCounters(database.db, messageId)
  return readCounters(database.db, messageId)
}

test.each([
  ['the message is paused', () => set('paused_at')],
  ['the chunk is paused', () => setChunk('paused = true')],
  ['the window closes at the time of the mark', () => setChunk(`closes_at = '2031-05-06T18:00:00Z'`)],
])('leaves all rows queued when %s', async (_when, arrange) => {
  await arrange()
  expect(await mark()).toBe(0)
  expect(await checkedCounters()).toMatchObject({ queued: 3, submitting: 0, suppressed: 0 })
})

test('marks rows of a resumed message in an open window', async () => {
  await set('paused_at')
  await mark()
  await set('paused_at', null)
  await setChunk(`closes_at = '2031-05-06T18:00:01Z'`)
  expect(await mark()).toBe(3)
})

test('suppresses rows from the deadline on, and records the reason', async () => {
  await set('deliver_by', later(5))
  const [first] = queued
  expect(await markSubmitting(database.db, chunk, first ? [first] : [], later(4))).toHaveLength(1)
  expect(await mark(later(5))).toBe(0)
  expect(await checkedCounters()).toMatchObject({ queued: 0, submitting: 1, suppressed: 2 })
  expect(await reasons()).toContainEqual({ state: 'suppressed', reason: 'too_late' })
})

test('cancels rows of a cancelled message that is also paused and past its deadline', async () => {
  await set('paused_at')
  await set('deliver_by')
  await database.db.exec('cancel', `update messages set status = 'cancelled', cancelled_at = $1`, [now])
  expect(await mark()).toBe(0)
  expect(await checkedCounters()).toMatchObject({ queued: 0, cancelled: 3, suppressed: 0 })
})
