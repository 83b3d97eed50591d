import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { ensureConnection } from '../connections/connections.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { ReceiptBook } from './receipts.ts'

let database: TestDatabase
let connectionId: number
beforeEach(async () => {
  database = await freshDatabase()
  connectionId = await ensureConnection(database.db, 'default')
})
afterEach(() => database.close())

test('receipts go on being kept when a day that was known is dropped', async () => {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })
  const book = new ReceiptBook(rt)
  const add = (smscId: string) =>
    book.add(
      {
        smscId,
        verdict: 'delivered',
        reason: null,
        carrierStatus: 'DELIVRD',
        connectionId,
        phone: null,
        shortCode: '77777',
        reference: null,
        submitDate: null,
        excerpt: null,
        receivedAt: new Date(),
      },
      () => {},
    )
  add('a1')
  await book.flushed()
  const { day } = await database.db.one<{ day: string }>(
    'day',
    `update messages set status = 'cancelled' returning to_char(logged_on, 'YYYYMMDD') as day`,
  )
  await database.db.exec('drop', `drop table submits_${day}`)
  add('a2')
  await book.flushed()
  expect(await database.db.many('kept', 'select smsc_id as id from receipts order by id')).toEqual([
    { id: 'a1' },
    { id: 'a2' },
  ])
})
