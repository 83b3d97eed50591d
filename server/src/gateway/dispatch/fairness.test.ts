import { expect, test } from 'vitest'
import { phones, useCarriers } from '../../../test/carriers.ts'
import { make } from '../../../test/make.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { sendSystemText, sendToNumbers } from '../../messages/messages.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'

// A slow connection or short code does not delay others.

const ctx = useCarriers()

async function startBoundGateway() {
  const { db } = ctx.sending
  await ctx.startGateway()
  await waitFor(async () => (await db.exec('slots', 'select from bind_slots')) > 0)
  const unbound = 'select from bind_slots where not bound'
  await waitFor(async () => (await db.exec('unbound', unbound)) === 0, { what: 'all slots to be bound' })
}

async function systemText(shortCodeId: number, listId: number, phone: number) {
  const { sending } = ctx
  const text = { accountId: sending.list.accountId, listId, shortCodeId, phone, content: 'Welcome.' }
  await sending.db.tx((tx) => sendSystemText(tx, sending.rt, { ...text, consent: 'reply' }))
}

test('a connection with a small cap does not slow down others of its tier', async () => {
  const { sending } = ctx
  const [slow, fast] = [await ctx.connectCarrier(), await ctx.connectCarrier()]
  await sending.db.exec('cap', 'update connections set mps = 5 where id = $1', [slow.id])
  await sending.subscribe(...phones(100))
  await startBoundGateway()
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 100 }, 4_000)
  expect(slow.submits.length).toBeGreaterThan(0)
  expect(fast.submits.length).toBeGreaterThan(70)
})

test('a carrier that throttles all texts does not slow down others of its tier', async () => {
  const { sending } = ctx
  const slow = await ctx.connectCarrier(() => ({ command_status: commandStatus.ESME_RTHROTTLED }))
  const fast = await ctx.connectCarrier()
  await sending.subscribe(...phones(100))
  await startBoundGateway()
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 100 }, 5_000)
  expect(slow.submits.length).toBeGreaterThan(0)
  expect(fast.submits).toHaveLength(100)
})

test('texts of a short code with a small cap do not delay the leases of others', async () => {
  const { sending } = ctx
  const { submits } = await ctx.connectCarrier()
  await sending.db.exec('cap', 'update short_codes set mps = 1 where id = $1', [sending.shortCode.id])
  for (const phone of phones(150)) await systemText(sending.shortCode.id, sending.list.id, phone)
  await startBoundGateway()
  await waitFor(() => submits.length > 0)
  const other = await make.shortCode(sending.db, { accountId: sending.list.accountId })
  const list = await make.list(sending.db, { accountId: sending.list.accountId, shortCodeId: other.id })
  for (const phone of phones(3)) await systemText(other.id, list.id, phone)
  await waitFor(() => submits.filter((pdu) => pdu.source_addr === other.code).length === 3, { timeoutMs: 2_000 })
})

test("a message to many numbers does not delay another account's text", async () => {
  const { sending } = ctx
  const { id, submits } = await ctx.connectCarrier()
  await sending.db.exec('cap', 'update connections set mps = 50 where id = $1', [id])
  const { accountId, id: listId } = sending.list
  const content = 'Doors at seven'
  const shortCodeId = sending.shortCode.id
  const message = { accountId, listId, shortCodeId, content, field: 'phone_numbers' }
  await sending.subscribe(...phones(200))
  await sendToNumbers(sending.rt, { ...message, phones: phones(200) })
  const list = await make.list(sending.db)
  const other = await sending.db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [
    list.shortCodeId,
  ])
  const [phone] = phones(1) as [number]
  await make.subscriber(sending.db, { listId: list.id, phone })
  await sendToNumbers(sending.rt, { ...message, ...list, listId: list.id, phones: [phone] })
  await startBoundGateway()
  await waitFor(() => submits.some((pdu) => pdu.source_addr === other.code))
  expect(submits.findIndex((pdu) => pdu.source_addr === other.code)).toBeLessThan(100)
})
