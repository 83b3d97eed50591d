import { expect, test } from 'vitest'
import { phones, useCarriers } from '../../../test/carriers.ts'
import { make } from '../../../test/make.ts'
import { acceptBroadcast } from '../../messages/messages.ts'

const ctx = useCarriers()

test('routes of one tier share a broadcast by their weights', async () => {
  const { sending } = ctx
  const [heavy, light] = [await ctx.connectCarrier(), await ctx.connectCarrier()]
  await ctx.addRoute(heavy.id, 0, 3)
  await ctx.addRoute(light.id, 0, 1)
  await ctx.startGateway()
  await ctx.untilBound(heavy.id)
  await ctx.untilBound(light.id)
  await sending.subscribe(...phones(200))
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 200 })
  expect(heavy.submits.length).toBeGreaterThanOrEqual(140)
  expect(heavy.submits.length).toBeLessThanOrEqual(160)
  expect(heavy.submits.length + light.submits.length).toBe(200)
  const recorded = await sending.db.many(
    'recorded',
    'select connection_id as id, count(*)::int as count from submits group by 1 order by 1',
  )
  expect(recorded).toEqual([
    { id: heavy.id, count: heavy.submits.length },
    { id: light.id, count: light.submits.length },
  ])
})

test('routes of the lowest bound tier are used, also after that tier was unbound', async () => {
  const { sending } = ctx
  const [first, second] = [await ctx.connectCarrier(), await ctx.connectCarrier()]
  await ctx.addRoute(first.id, 0)
  await ctx.addRoute(second.id, 1)
  await ctx.startGateway()
  await ctx.untilBound(first.id)
  await ctx.untilBound(second.id)
  await sending.subscribe(...phones(5))
  for (let n = 0; n < 2; n++) await sending.waitForCounters(await sending.broadcast(), { sent: 5 })
  expect([first.submits.length, second.submits.length]).toEqual([10, 0])
  await ctx.updateConnection(first.id, 'port = 1')
  await ctx.untilBound(first.id, 0)
  await sending.waitForCounters(await sending.broadcast(), { sent: 5 })
  expect([first.submits.length, second.submits.length]).toEqual([10, 5])
  await ctx.updateConnection(first.id, `port = ${first.port}`)
  await ctx.untilBound(first.id)
  for (let n = 0; n < 2; n++) await sending.waitForCounters(await sending.broadcast(), { sent: 5 })
  expect([first.submits.length, second.submits.length]).toEqual([20, 5])
})

test('a short code without a bind group waits and does not delay others', async () => {
  const { sending } = ctx
  const [unreachable, reachable] = [await ctx.connectCarrier(), await ctx.connectCarrier()]
  await ctx.addRoute(unreachable.id, 0)
  await ctx.updateConnection(unreachable.id, 'port = 1, serves_all = false')
  await ctx.startGateway()
  await ctx.untilBound(reachable.id)
  await sending.subscribe(...phones(5))
  const waiting = await sending.broadcast()
  const shortCode = await make.shortCode(sending.db, { accountId: sending.list.accountId })
  const list = await make.list(sending.db, { accountId: sending.list.accountId, shortCodeId: shortCode.id })
  for (const phone of phones(5)) await make.subscriber(sending.db, { listId: list.id, phone })
  const { id } = await acceptBroadcast(sending.rt, { accountId: list.accountId, list, content: 'Hello' })
  await sending.waitForCounters(id, { sent: 5 })
  await sending.waitForCounters(waiting, { queued: 5 })
  expect(reachable.submits).toHaveLength(5)
  await ctx.updateConnection(unreachable.id, `port = ${unreachable.port}`)
  await sending.waitForCounters(waiting, { sent: 5 })
  expect(unreachable.submits).toHaveLength(5)
})

test('a bind group that gets no responses does not delay the others of its tier', async () => {
  const { sending } = ctx
  const [silent, responding] = [await ctx.connectCarrier(() => undefined), await ctx.connectCarrier()]
  await ctx.updateConnection(silent.id, 'response_deadline_ms = 20000, "window" = 2')
  await ctx.startGateway()
  await ctx.untilBound(silent.id)
  await ctx.untilBound(responding.id)
  await sending.subscribe(...phones(100))
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 98, submitting: 2 })
  expect(silent.submits).toHaveLength(2)
})
