import { afterEach, beforeEach, expect, test } from 'vitest'
import { startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { sendToNumbers } from '../../messages/messages.ts'
import { optOut } from '../../opt-ins/opt-out.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'

// Before the remaining parts of a partial send, consent and deadlines are checked again.

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>>
let message: number
let acceptsAll: boolean
const phone = 2_065_560_001
const another = 2_065_560_002

beforeEach(async () => {
  sending = await startSending({ binds: 1 })
  await sending.subscribe(phone)
  // the second part of a text is throttled
  acceptsAll = false
  carrier = await startOddCarrier(sending.rt, (pdu, ordinal) =>
    pdu.short_message[5] === 2 && !acceptsAll
      ? { command_status: commandStatus.ESME_RTHROTTLED }
      : { message_id: `id${ordinal}` },
  )
  message = await sending.broadcast('x'.repeat(200))
  await waitFor(() => carrier.submits.length >= 3)
})
afterEach(async () => {
  await carrier.stop()
  await sending.stop()
})

/** Waits until the text is unknown, and asserts that no part of it is written before a later text. */
async function expectAbandoned() {
  await sending.waitForCounters(message, { unknown: 1, submitting: 0 }, 3_000)
  const submitsTo = (number: number) => carrier.submits.filter((pdu) => pdu.destination_addr === `1${number}`)
  const { length } = submitsTo(phone)
  // remaining parts would be written before the next text
  acceptsAll = true
  const { accountId, id: listId, shortCodeId } = sending.list
  const input = { accountId, listId, shortCodeId, phones: [another], content: 'y'.repeat(200), field: 'phones' }
  const { id } = await sendToNumbers(sending.rt, { ...input, maxParts: null, name: null })
  await sending.waitForCounters(id, { sent: 1 })
  expect(submitsTo(phone)).toHaveLength(length)
}

test('no remaining part is sent after an opt-out', async () => {
  const { accountId, id: listId } = sending.list
  await optOut(sending.rt, { accountId, listId, phone, method: 'api', actor: 'key:1' })
  await expectAbandoned()
})

test.each([
  ['the deadline', 'update messages set deliver_by = now()'],
  ['the end of the sending window', 'update send_chunks set closes_at = now()'],
])('no remaining part is sent after %s', async (_, change) => {
  await sending.db.exec('change', change)
  await expectAbandoned()
})
