import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readCounters } from '../../test/sending.ts'
import { closeOverdue } from '../broadcasts/close.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
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

test.each([
  ['of a list', true],
  ['without a list', false],
])('counts on the last message %s when that is closed and its day is not kept', async (_, isOfList) => {
  const clock = { now: () => new Date('2026-03-02T10:00:00Z') }
  const rt = { ...makeRuntime({ db: ctx.db }), clock }
  const list = await make.list(ctx.db)
  const { accountId, shortCodeId } = list
  const phone = 2_065_560_001
  await make.subscriber(ctx.db, { listId: list.id, phone })
  const numbers = { accountId, shortCodeId, phones: [phone], content: 'To you', field: 'number' }
  const send = (ofList: boolean) => sendToNumbers(rt, { ...numbers, listId: ofList ? list.id : null })
  const [older, last] = [await send(!isOfList), await send(isOfList)]
  for (const { id } of [older, last]) {
    await ctx.db.exec('log', `update message_log set state = 'delivered', submitted_at = $2 where message_id = $1`, [
      id,
      clock.now(),
    ])
    await ctx.db.exec('count', 'update message_counters set delivered = 1, queued = 0 where message_id = $1', [id])
    // the last one is submitted later
    clock.now = () => new Date('2026-03-02T11:00:00Z')
    await ctx.db.exec('end', `update messages set status = 'sent', sent_at = $2 where id = $1`, [id, clock.now()])
  }
  const at = new Date('2026-09-02T10:00:00Z')
  clock.now = () => at
  await closeOverdue(rt)
  await ctx.db.exec('drop', 'delete from message_log')
  const senders = [{ phone, wording: 'STOP', actor: 'mo:1' }]
  await ctx.db.tx((tx) =>
    optOutOfShortCode(tx, { shortCodeId, accountId, listIds: [list.id] }, { senders, method: 'stop', at }),
  )
  const counts = await Promise.all(
    [older, last].map(async ({ id }) => (await readCounters(ctx.db, id)).unsubscribeCount),
  )
  expect(counts).toEqual([0, 1])
})
