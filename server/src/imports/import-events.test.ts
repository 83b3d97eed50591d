import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import { changeList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import { applyNextSlice, receiveImport } from './imports.ts'

let database: TestDatabase
let rt: Runtime
let list: Awaited<ReturnType<typeof make.list>>
beforeEach(async () => {
  database = await freshDatabase()
  rt = makeRuntime(database)
  list = await make.list(database.db)
  await database.db.exec('listen', 'update lists set listeners = 15')
})
afterEach(() => database.close())

const file =
  'phone,first_name,subscribed_at,opted_out_at\n2062000101,Ana,,\n2062000102,Bob,2025-01-02,2026-01-02\n2062000103,Cy,,\n2062000104,Di,,2026-01-02\n'

async function importFile(content: string) {
  const { id } = await receiveImport(rt, csvUpload(list, content))
  while (await applyNextSlice(rt, id, 2));
}

const events = () =>
  database.db.many<{ type: string; phone: number; name: string }>(
    'recorded',
    `select type, phone, facts->'subscriber'->>'first_name' as name from event_outbox order by id`,
  )

test('imports report no events unless the list says so', async () => {
  await importFile(file)
  expect(await events()).toEqual([])
})

test('imports of a list that says so report one event per changed person, with its profile, and none for the unchanged', async () => {
  await changeList(rt, list.accountId, list.id, { importEvents: true })
  await importFile(file)
  const first = [
    { type: 'subscribe', phone: 2062000101, name: 'Ana' },
    { type: 'unsubscribe', phone: 2062000102, name: 'Bob' },
    { type: 'subscribe', phone: 2062000103, name: 'Cy' },
  ]
  expect((await events()).sort((a, b) => a.phone - b.phone)).toEqual(first)
  await importFile(file)
  expect(await events()).toHaveLength(3)
})

test('only the listeners of a type receive it', async () => {
  await changeList(rt, list.accountId, list.id, { importEvents: true })
  await database.db.exec('listen_to_unsubscribe', 'update lists set listeners = 2')
  await importFile(file)
  expect(await events()).toMatchObject([{ type: 'unsubscribe' }])
})
