import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { basic } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { clientDb } from '../../db/db.ts'
import { makeApp } from '../../http/app.ts'
import { createDraft, sendDraft } from '../drafts/drafts.ts'
import { acceptBroadcast, sendToNumbers } from '../messages.ts'
import { deleteList } from './delete-list.ts'
import { pauseMessage } from './pause.ts'

let sending: Awaited<ReturnType<typeof startSending>>
let app: Awaited<ReturnType<typeof makeApp>>
let key: string
beforeEach(async () => {
  sending = await startSending({ latencyMs: 60, window: 20, binds: 1 })
  app = await makeApp(sending.rt)
  key = (await make.apiKey(sending.db, { accountId: sending.list.accountId })).key
})
afterEach(async () => {
  await app.close()
  await sending.stop()
})

const fill = (count: number) => make.subscribers(sending.db, { listId: sending.list.id, count })

async function remove(path: string) {
  const response = await app.inject({
    method: 'DELETE',
    url: `/api/v2/lists/${path}`,
    headers: { authorization: basic(key) },
  })
  return { status: response.statusCode, body: response.json() as Record<string, unknown> }
}

const rowOf = (id: number) =>
  sending.db.one<Record<string, unknown>>(
    'row_of',
    `select status, cancel_reason as reason, closed_at is not null as closed, paused_at as paused,
            (select count(*)::int from expansions where message_id = m.id) as expansions
       from messages m where id = $1`,
    [id],
  )

const broadcast = () => ({ accountId: sending.list.accountId, list: sending.list, content: 'Hello' })

test('deleting a list stops its broadcast within a second of the response, with balanced counters', async () => {
  await sending.startGateway()
  await fill(3_000)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 100)
  expect(await remove(`${sending.list.id}`)).toEqual({ status: 200, body: { status: 'List Destroyed' } })
  const respondedAt = Date.now()
  expect(await sending.counters(id)).toMatchObject({ submitting: 0 })
  expect(sending.raw().length).toBeLessThan(2_000)
  // one person is taken off while the rest is being cancelled
  expect(await remove(`${sending.list.id}/subscribers/2065562999`)).toMatchObject({
    status: 200,
    body: { status: 'successfully unsubscribed', subscriber: { phone_number: '2065562999' } },
  })
  await sending.waitForCounters(id, { queued: 0, submitting: 0, sent: 0, unknown: 0 })
  const { audience, delivered, cancelled, suppressed } = await sending.counters(id)
  expect(audience).toBe(delivered + cancelled + suppressed)
  expect(delivered).toBe(sending.raw().length)
  expect(sending.raw().filter((record) => record.time > respondedAt + 1_000)).toEqual([])
  expect(await rowOf(id)).toMatchObject({ status: 'cancelled', reason: 'list_deleted', expansions: 0 })
})

test('a deleted list is not found for a number that was never on it, and for another account', async () => {
  await fill(1)
  await deleteList(sending.rt, sending.list.accountId, sending.list.id)
  expect(await remove(`${sending.list.id}/subscribers/2065569999`)).toMatchObject({
    status: 404,
    body: { error: 'List not found' },
  })
  const stranger = await make.account(sending.db)
  key = (await make.apiKey(sending.db, { accountId: stranger.id })).key
  expect(await remove(`${sending.list.id}/subscribers/2065560001`)).toMatchObject({
    status: 404,
    body: { error: 'List not found' },
  })
})

test('deleting a list cancels its paused, scheduled and transactional messages, and no other', async () => {
  await fill(3)
  const paused = await sending.broadcast()
  await pauseMessage(sending.rt, sending.list.id, paused)
  const scheduled = (await createDraft(sending.rt, broadcast(), new Date(Date.now() + 3_600_000))).id
  const draft = (await createDraft(sending.rt, broadcast(), null)).id
  const { accountId, id: listId, shortCodeId } = sending.list
  const given = { accountId, listId, shortCodeId, phones: [2_065_560_001], content: 'Hi', field: 'phone_number' }
  const transactional = (await sendToNumbers(sending.rt, given)).id
  const other = await make.list(sending.db, { accountId, shortCodeId })
  const elsewhere = (await acceptBroadcast(sending.rt, { accountId, list: other, content: 'Hello' })).id
  await deleteList(sending.rt, accountId, listId)
  for (const id of [paused, transactional]) {
    expect(await rowOf(id)).toMatchObject({ status: 'cancelled', reason: 'list_deleted', paused: null, closed: false })
  }
  expect(await rowOf(scheduled)).toMatchObject({ status: 'cancelled', reason: 'list_deleted', closed: true })
  expect(await rowOf(draft)).toMatchObject({ status: 'draft', reason: null })
  expect(await rowOf(elsewhere)).toMatchObject({ reason: null })
})

test('a deletion waits for a broadcast that is being accepted, and cancels it', async () => {
  await fill(200) // more than can be sent before the deletion continues
  const client = new pg.Client({ connectionString: sending.rt.databaseUrl })
  await client.connect()
  await client.query('begin')
  const accepting = { ...sending.rt, db: clientDb(client) }
  const { id } = await acceptBroadcast(accepting, broadcast())
  const deleting = deleteList(sending.rt, sending.list.accountId, sending.list.id)
  const lock = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  await waitFor(async () => (await sending.db.exec('lock', lock)) > 0)
  await client.query('commit')
  await client.end()
  await deleting
  expect(await rowOf(id)).toMatchObject({ status: 'cancelled', reason: 'list_deleted', expansions: 0 })
})

test('nothing starts after a deletion that the request did not know of', async () => {
  const draft = (await createDraft(sending.rt, broadcast(), null)).id
  await deleteList(sending.rt, sending.list.accountId, sending.list.id)
  const { accountId, id: listId, shortCodeId } = sending.list
  const given = { accountId, listId, shortCodeId, phones: [2_065_560_001], content: 'Hi', field: 'phone_number' }
  for (const start of [
    () => acceptBroadcast(sending.rt, broadcast()),
    () => sendDraft(sending.rt, sending.list, draft),
    () => sendToNumbers(sending.rt, given),
  ]) {
    await expect(start()).rejects.toMatchObject({ status: 404, code: 'list_not_found' })
  }
  expect(await rowOf(draft)).toMatchObject({ status: 'draft' })
})
