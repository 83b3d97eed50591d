import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Answer, startOddCarrier } from '../../test/odd-carrier.ts'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { sendSystemText } from '../messages/messages.ts'

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>> | undefined

const silent: Answer = () => undefined
const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)

beforeEach(async () => {
  sending = await startSending({ window: 5, binds: 1, leaseMs: 1_500 })
})
afterEach(async () => {
  await carrier?.stop()
  carrier = undefined
  await sending.stop()
})

test('a gateway that lost its last bind leaves its chunks to one that has a bind', async () => {
  carrier = await startOddCarrier(sending.rt, silent)
  await sending.subscribe(...phones(20))
  const id = await sending.broadcast()
  const { submits } = carrier
  await waitFor(() => submits.length > 0)
  await carrier.close()
  await sending.startGateway()
  await sending.untilCounted(id, { queued: 0, submitting: 0, unknown: submits.length, delivered: 20 - submits.length })
})

test('while the database refuses, chunks are asked for no more often than the poll does', async () => {
  let refusals = 0
  const lines = new Writable({
    write(line, _, done) {
      if (String(line).includes('could not lease chunks')) refusals++
      done()
    },
  })
  await sending.db.exec('hide', 'alter table send_chunks rename to hidden_chunks')
  carrier = await startOddCarrier({ ...sending.rt, log: pino({ level: 'warn' }, lines) }, silent)
  await waitFor(() => refusals > 0)
  for (let n = 0; n < 10; n++) await sending.db.one('pause', 'select pg_sleep(0.1)')
  expect(refusals).toBeLessThan(10)
  await sending.db.exec('show', 'alter table hidden_chunks rename to send_chunks')
})

test('a flood of texts to one number each is taken by the hundred, to the end', async () => {
  const texts = 250
  for (const phone of phones(texts)) {
    await sending.db.tx((tx) =>
      sendSystemText(tx, sending.rt, {
        accountId: sending.list.accountId,
        listId: sending.list.id,
        shortCodeId: sending.shortCode.id,
        phone,
        content: 'Welcome to the pantry.',
        consent: 'not_opted_out',
      }),
    )
  }
  carrier = await startOddCarrier(sending.rt, silent)
  const { submits } = carrier
  await waitFor(() => submits.length === 5)
  const { leased } = await sending.db.one<{ leased: number }>(
    'leased',
    'select count(*) as leased from send_chunks where lease_until is not null',
  )
  expect(leased).toBeLessThanOrEqual(100)
  await carrier.close()
  await sending.startGateway()
  const ended = `select from message_log where state in ('delivered', 'unknown')`
  await waitFor(async () => (await sending.db.exec('ended', ended)) === texts, { timeoutMs: 15_000 })
  expect(sending.raw()).toHaveLength(texts - submits.length)
})
