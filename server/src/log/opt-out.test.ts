import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { countUnsubscribes } from './opt-out.queries.ts'

const ctx = useDatabase()

test('counts an opt-out for the last broadcast of its list that was sent to the number', async () => {
  const rt = makeRuntime({ db: ctx.db })
  const list = await make.list(ctx.db)
  const other = await make.list(ctx.db, { accountId: list.accountId })
  const phone = 2_065_560_001
  const bystander = 2_065_560_002
  for (const listId of [list.id, other.id]) {
    for (const each of [phone, bystander]) await make.subscriber(ctx.db, { listId, phone: each })
  }
  const broadcast = async (to: typeof list) => {
    const { id } = await acceptBroadcast(rt, { accountId: list.accountId, list: to, content: 'Hello' })
    while (await expandOnce(rt));
    return id
  }
  const sent = (messageId: number, ...phones: number[]) =>
    ctx.db.exec('sent', `update message_log set state = 'sent' where message_id = $1 and phone = any($2)`, [
      messageId,
      phones,
    ])
  const older = await broadcast(list)
  const last = await broadcast(list)
  const toOthers = await broadcast(list)
  const ofOtherList = await broadcast(other)
  await sent(older, phone, bystander)
  await sent(last, phone, bystander)
  await sent(toOthers, bystander)
  await sent(ofOtherList, phone, bystander)

  await ctx.db.tx((tx) => countUnsubscribes(tx, [{ phone, listId: list.id }]))

  const counted = async (id: number) => (await readCounters(ctx.db, id)).unsubscribeCount
  expect(await Promise.all([older, last, toOthers, ofOtherList].map(counted))).toEqual([0, 1, 0, 0])
})
