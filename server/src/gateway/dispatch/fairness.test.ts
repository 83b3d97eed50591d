import { afterEach, beforeEach, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { type Responder, startCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { sendSystemText } from '../../messages/messages.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import { startGateway } from '../gateway.ts'

// A slow connection or short code delays no other.

let sending: Awaited<ReturnType<typeof startSending>>
let cleanUp: Array<() => Promise<unknown>> = []

beforeEach(async () => {
  sending = await startSending({ leaseMs: 1_500, responseDeadlineMs: 1_000 })
})
afterEach(async () => {
  for (const step of cleanUp.reverse()) await step()
  cleanUp = []
  await sending.stop()
})

const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)

const accept: Responder = (_, ordinal) => ({ message_id: `id${ordinal}` })

async function carrier(respond = accept) {
  const started = await startCarrier(respond)
  cleanUp.push(() => started.server.close())
  const { id } = await make.connection(sending.db, { port: started.port })
  return { ...started, id }
}

async function gateway() {
  const { rt } = sending
  const started = await startGateway({ ...rt, config: { ...rt.config, smpp: undefined } })
  cleanUp.push(() => started.stop())
  const bound = 'select from bind_slots where not bound'
  await waitFor(async () => (await sending.db.exec('slots', 'select from bind_slots')) > 0)
  await waitFor(async () => (await sending.db.exec('unbound', bound)) === 0, { what: 'all slots to be bound' })
}

async function systemText(shortCodeId: number, listId: number, phone: number) {
  const text = { accountId: sending.list.accountId, listId, shortCodeId, phone, content: 'Welcome.' }
  await sending.db.tx((tx) => sendSystemText(tx, sending.rt, { ...text, consent: 'answer' }))
}

test('a connection with a small cap does not slow down another one of its tier', async () => {
  const [slow, fast] = [await carrier(), await carrier()]
  await sending.db.exec('cap', 'update connections set mps = 5 where id = $1', [slow.id])
  await sending.subscribe(...phones(100))
  await gateway()
  const id = await sending.broadcast()
  await sending.untilCounted(id, { sent: 100 }, 4_000)
  expect(slow.submits.length).toBeGreaterThan(0)
  expect(fast.submits.length).toBeGreaterThan(70)
})

test('a carrier that throttles all texts does not slow down another one of its tier', async () => {
  const slow = await carrier(() => ({ command_status: commandStatus.ESME_RTHROTTLED }))
  const fast = await carrier()
  await sending.subscribe(...phones(100))
  await gateway()
  const id = await sending.broadcast()
  await sending.untilCounted(id, { sent: 100 }, 5_000)
  expect(slow.submits.length).toBeGreaterThan(0)
  expect(fast.submits).toHaveLength(100)
})

test('texts of a short code with a small cap do not keep those of others from being leased', async () => {
  const { submits } = await carrier()
  await sending.db.exec('cap', 'update short_codes set mps = 1 where id = $1', [sending.shortCode.id])
  for (const phone of phones(150)) await systemText(sending.shortCode.id, sending.list.id, phone)
  await gateway()
  await waitFor(() => submits.length > 0)
  const other = await make.shortCode(sending.db, { accountId: sending.list.accountId })
  const list = await make.list(sending.db, { accountId: sending.list.accountId, shortCodeId: other.id })
  for (const phone of phones(3)) await systemText(other.id, list.id, phone)
  await waitFor(() => submits.filter((pdu) => pdu.source_addr === other.code).length === 3, { timeoutMs: 2_000 })
})
