import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { changeList } from '../lists/lists.ts'
import { optOutOfShortCode } from '../opt-ins/opt-out.ts'
import type { Runtime } from '../runtime.ts'
import { applyNextSlice, receiveImport } from './imports.ts'

// Files with numbers that sent STOP to the short code of the list. docs/consent.md states the rule.

const stopped = 2_062_000_101
const other = 2_062_000_102

let database: TestDatabase
let rt: Runtime
let list: Awaited<ReturnType<typeof make.list>>
beforeEach(async () => {
  database = await freshDatabase()
  rt = makeRuntime(database)
  list = await make.list(database.db)
})
afterEach(() => database.close())

/** A STOP to the first list's short code, which has these lists. */
const stopIn = (tx: Db, listIds = [list.id]) => {
  const senders = [{ phone: stopped, wording: 'STOP', actor: 'mo:1' }]
  return optOutOfShortCode(tx, { ...list, listIds }, { senders, method: 'stop', at: new Date() })
}
const stop = (listIds = [list.id]) => database.db.tx((tx) => stopIn(tx, listIds))

const hasLockWaiter = async () => {
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return (await database.db.many('waiting', waiting)).length > 0
}

const receive = (listId: number, body: string) => receiveImport(rt, csvUpload({ ...list, id: listId }, body))

const file = `phone,first_name\n${stopped},Ana\n${other},Bob\n`

async function apply(id: number) {
  while (await applyNextSlice(rt, id));
  const { added, updated } = await database.db.one<{ added: number; updated: number }>(
    'counts',
    'select added, updated from imports where id = $1',
    [id],
  )
  const skips = await database.db.many('skips', 'select line, reason from import_skips where import_id = $1', [id])
  return { added, updated, skips }
}

const states = (listId: number) =>
  database.db.many(
    'states',
    'select phone, state, first_name as name from subscribers where list_id = $1 order by phone',
    [listId],
  )
const keptOut = { line: 2, reason: 'opted_out' }

test('a number that sent STOP is not added to a new list of the short code', async () => {
  await stop()
  const made = await make.list(database.db, list)
  const { id } = await receive(made.id, file)
  expect(await apply(id)).toEqual({ added: 1, updated: 0, skips: [keptOut] })
  expect(await states(made.id)).toEqual([{ phone: other, state: 'subscribed', name: 'Bob' }])
})

test.each(['pending', 'subscribed', 'cleaned'] as const)(
  'a blocked number that is %s does not change',
  async (state) => {
    await stop([])
    await make.subscriber(database.db, { listId: list.id, phone: stopped, state, firstName: 'Old' })
    const { id } = await receive(list.id, file)
    expect(await apply(id)).toEqual({ added: 1, updated: 0, skips: [keptOut] })
    expect((await states(list.id))[0]).toEqual({ phone: stopped, state, name: 'Old' })
  },
)

test('a STOP during the upload is found when the file is applied', async () => {
  const stoppedThen = Promise.withResolvers<void>()
  async function* body() {
    yield Buffer.from('phone,first_name\n')
    await stoppedThen.promise
    yield Buffer.from(`${stopped},Ana\n${other},Bob\n`)
  }
  let bytes = 0
  const receiving = receiveImport(rt, {
    ...csvUpload(list, Readable.from(body())),
    onBytes: (chunk) => {
      bytes += chunk.length
    },
  })
  await waitFor(() => bytes > 0)
  await stop()
  stoppedThen.resolve()
  expect(await apply((await receiving).id)).toEqual({ added: 1, updated: 0, skips: [keptOut] })
})

test('a STOP between the upload and its slices is found as well, and one after them unsubscribes', async () => {
  const first = await receive(list.id, file)
  await stop()
  expect(await apply(first.id)).toEqual({ added: 1, updated: 0, skips: [keptOut] })
  const made = await make.list(database.db, list)
  await database.db.exec('unblock', 'delete from blocks')
  const second = await receive(made.id, file)
  expect(await apply(second.id)).toMatchObject({ added: 2 })
  await stop([made.id])
  expect((await states(made.id))[0]).toMatchObject({ state: 'unsubscribed' })
})

test('a STOP during a slice waits for it, and unsubscribes the number', async () => {
  const { id } = await receive(list.id, file)
  const { stopping } = await database.db.tx(async (tx) => {
    await applyNextSlice({ ...rt, db: tx }, id)
    const stopping = stop()
    await waitFor(hasLockWaiter)
    return { stopping }
  })
  await stopping
  expect(await states(list.id)).toMatchObject([{ state: 'unsubscribed' }, { state: 'subscribed' }])
})

test('a slice during a STOP waits for it, and does not add the number', async () => {
  const { id } = await receive(list.id, file)
  const { applying } = await database.db.tx(async (tx) => {
    await stopIn(tx)
    const applying = apply(id)
    await waitFor(hasLockWaiter)
    return { applying }
  })
  expect(await applying).toEqual({ added: 1, updated: 0, skips: [keptOut] })
  expect(await states(list.id)).toMatchObject([{ state: 'unsubscribed' }, { state: 'subscribed' }])
})

test('the block at the short code that the list sends from counts, before and after a move', async () => {
  await stop()
  const elsewhere = await make.shortCode(database.db, { accountId: list.accountId })
  const moving = await make.list(database.db, { accountId: list.accountId, shortCodeId: elsewhere.id })
  const first = await receive(moving.id, file)
  expect(await apply(first.id)).toMatchObject({ added: 2, skips: [] })
  const { code } = await database.db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [
    list.shortCodeId,
  ])
  await changeList(rt, list.accountId, moving.id, {}, code)
  const second = await receive(moving.id, file.replace('Ana', 'Anna'))
  expect(await apply(second.id)).toEqual({ added: 0, updated: 0, skips: [keptOut] })
})
