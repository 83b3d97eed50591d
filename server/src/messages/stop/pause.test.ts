import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { listQueued } from '../../../test/queued.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { checkCounters, readCounters } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { expandOnce, expandSlice } from '../../broadcasts/expand.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { finishMessages } from '../../log/finish.queries.ts'
import { markSubmitting } from '../../log/marks.queries.ts'
import { correctPausedFlags } from '../../log/pause.queries.ts'
import { createDraft } from '../drafts/drafts.ts'
import { acceptBroadcast } from '../messages.ts'
import { cancelMessage } from './cancel.ts'
import { pauseMessage, resumeMessage } from './pause.ts'

// Pauses that run concurrently with slices, marks and cancels, on several database connections with real commits.

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  for (let n = 0; n < 5; n++) await make.subscriber(database.db, { listId: list.id })
})
afterEach(() => database.close())

const send = async () =>
  (await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Soup on Friday' })).id
const pause = (id: number) => pauseMessage(rt(), list.id, id)
const resume = (id: number) => resumeMessage(rt(), list.id, id)
const expandAll = async () => {
  while (await expandOnce(rt()));
}
const flags = async (id: number) => {
  const rows = await database.db.many<{ paused: boolean }>(
    'flags',
    'select paused from send_chunks where message_id = $1 order by id',
    [id],
  )
  return rows.map((row) => row.paused)
}
const claim = () =>
  claimChunks(database.db, {
    owner: crypto.randomUUID(),
    leaseMs: 60_000,
    now: new Date(),
    fromLane: 0,
    toLane: 9,
    limit: 10,
    codes: { allBut: true, ids: [] },
  })

/** Waits until a database session waits for a lock. */
const untilBlocked = () =>
  waitFor(async () => {
    const sql = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    return (await database.db.exec('blocked', sql)) > 0
  })

test('sets the paused flag of a slice that is being written when the message is paused', async () => {
  // more than the rows of the first slice
  await database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, 2535560000 + n, now(), 'subscribed', now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, 1200) n`,
    [list.id],
  )
  const id = await send()
  let paused: Promise<void> | undefined
  await database.db.tx(async (tx) => {
    await expandSlice({ ...rt(), db: tx }, id)
    paused = pause(id)
    await untilBlocked()
  })
  await paused
  await expandAll()
  expect(await flags(id)).toEqual([true, true])
  expect(await claim()).toEqual([])
})

test('waits for a running mark, and the next mark finds the message paused', async () => {
  const id = await send()
  await expandAll()
  const [chunk] = await claim()
  if (!chunk) throw new Error('no chunk to lease')
  const queued = await listQueued(database.db, chunk)
  let paused: Promise<void> | undefined
  await database.db.tx(async (tx) => {
    expect(await markSubmitting(tx, chunk, queued.slice(0, 2), new Date())).toHaveLength(2)
    paused = pause(id)
    await untilBlocked()
  })
  await paused
  expect(await markSubmitting(database.db, chunk, queued, new Date())).toEqual([])
  expect(await readCounters(database.db, id)).toMatchObject({ queued: 3, submitting: 2 })
  await resume(id)
  expect(await markSubmitting(database.db, chunk, queued, new Date())).toHaveLength(3)
})

test('changes nothing if the process dies before the commit', async () => {
  const id = await send()
  await expandAll()
  const killed = database.db.tx(async (tx) => {
    await pauseMessage({ ...rt(), db: tx }, list.id, id)
    throw new Error('killed')
  })
  await expect(killed).rejects.toThrow('killed')
  expect(await flags(id)).toEqual([false])
  expect(await claim()).toHaveLength(1)
})

test('corrects the flag of chunks that differ from their message', async () => {
  const [first, second] = [await send(), await send()]
  await expandAll()
  await pause(first)
  await database.db.exec('swap_flags', 'update send_chunks set paused = not paused')
  expect(await correctPausedFlags(database.db)).toBe(2)
  expect([await flags(first), await flags(second)]).toEqual([[true], [false]])
  expect(await correctPausedFlags(database.db)).toBe(0)
})

test('does not mark a paused message with queued rows as sent', async () => {
  const id = await send()
  await expandAll()
  await pause(id)
  expect(await finishMessages(database.db, new Date())).toBe(0)
})

test("rejects a message that is not being sent, and does not find another account's message", async () => {
  const { id: draft } = await createDraft(rt(), { accountId: list.accountId, list, content: 'Soup' }, null)
  await expect(pause(draft)).rejects.toThrow('Message is draft and cannot be paused')
  await expect(resume(draft)).rejects.toThrow('Message is draft and cannot be resumed')
  const id = await send()
  const strangersList = await make.list(database.db)
  await expect(pauseMessage(rt(), strangersList.id, id)).rejects.toMatchObject({ status: 404 })
  expect(await flags(id)).toEqual([])
})

test('leaves correct counters and no paused chunk after concurrent pauses, resumes, slices and a cancel', async () => {
  for (let round = 0; round < 10; round++) {
    const id = await send()
    const outcomes = await Promise.allSettled([
      pause(id),
      expandOnce(rt()),
      resume(id),
      pause(id),
      expandOnce(rt()),
      cancelMessage(rt(), list.id, id),
      pause(id),
    ])
    expect(outcomes[5]?.status).toBe('fulfilled')
    await expandAll()
    await correctPausedFlags(database.db)
    expect((await flags(id)).includes(true)).toBe(false)
    const sql = 'select status, paused_at from messages where id = $1'
    expect(await database.db.one('status_of', sql, [id])).toEqual({ status: 'cancelled', paused_at: null })
    await checkCounters(database.db, id)
  }
})
