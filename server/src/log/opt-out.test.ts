import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { optOutOfShortCode } from '../opt-ins/opt-out.ts'

const ctx = useDatabase()

test('counts a person once, on the last message of the short code that was sent to them', async () => {
  const rt = makeRuntime({ db: ctx.db })
  const list = await make.list(ctx.db)
  const { accountId, shortCodeId } = list
  const other = await make.list(ctx.db, { accountId, shortCodeId })
  const elsewhere = await make.list(ctx.db, { accountId })
  const phone = 2_065_560_001
  const bystander = 2_065_560_002
  for (const listId of [list.id, other.id, elsewhere.id]) {
    for (const each of [phone, bystander]) await make.subscriber(ctx.db, { listId, phone: each })
  }
  const broadcast = async (to: typeof list) => {
    const { id } = await acceptBroadcast(rt, { accountId, list: to, content: 'Hello' })
    while (await expandOnce(rt));
    return id
  }
  const sentAt = new Date('2026-03-02T10:00:00Z')
  const sent = (messageId: number, ...phones: number[]) =>
    ctx.db.exec(
      'sent',
      `update message_log set state = 'sent', submitted_at = $3 where message_id = $1 and phone = any($2)`,
      [messageId, phones, sentAt],
    )
  const older = await broadcast(other)
  const last = await broadcast(list)
  const toOthers = await broadcast(list)
  const ofOtherCode = await broadcast(elsewhere)
  await sent(older, phone, bystander)
  await sent(last, phone, bystander)
  await sent(toOthers, bystander)
  await sent(ofOtherCode, phone, bystander)
  const counted = () =>
    Promise.all(
      [older, last, toOthers, ofOtherCode].map(async (id) => (await readCounters(ctx.db, id)).unsubscribeCount),
    )
  const stop = (at: Date) =>
    ctx.db.tx((tx) =>
      optOutOfShortCode(
        tx,
        { shortCodeId, accountId, listIds: [list.id, other.id] },
        { senders: [{ phone, wording: 'STOP', actor: 'mo:1' }], method: 'stop', at },
      ),
    )

  expect(await stop(new Date('2026-03-02T10:05:00Z'))).toHaveLength(2)
  expect(await counted()).toEqual([0, 1, 0, 0])
  // the person joins again and leaves again, without another message in between
  await ctx.db.exec('join', `update subscribers set state = 'subscribed' where phone = $1 and list_id = $2`, [
    phone,
    list.id,
  ])
  expect(await stop(new Date('2026-03-02T10:10:00Z'))).toHaveLength(1)
  expect(await counted()).toEqual([0, 1, 0, 0])
})
