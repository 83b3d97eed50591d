import { afterEach, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { disableAccount, enableAccount } from '../accounts/accounts.ts'
import { sendSystemText, sendToNumbers } from '../messages/messages.ts'

let sending: Awaited<ReturnType<typeof startSending>>
afterEach(() => sending.stop())

const textsTo = (phone: number) => sending.raw().filter(({ destination }) => destination.endsWith(String(phone)))

test('a disabled account sends nothing but replies to STOP, and the rest when it is enabled', async () => {
  sending = await startSending({ latencyMs: 30, window: 20, binds: 1 })
  const { db, list, rt } = sending
  await sending.startGateway()
  const stopped = 2_065_569_999 // the last of the broadcast
  await make.subscribers(db, { listId: list.id, count: 1_000 })
  await sending.subscribe(stopped)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 50)

  await disableAccount(db, list.accountId, rt.clock.now())
  // texts that were marked before are still written
  await waitFor(async () => (await sending.counters(id)).submitting === 0)
  const written = sending.raw().length
  expect(written).toBeLessThan(1_000)

  // what was accepted meanwhile waits, too
  const second = await sending.broadcast('The pantry opens at ten.')
  const { id: single } = await sendToNumbers(rt, {
    accountId: list.accountId,
    listId: list.id,
    shortCodeId: sending.shortCode.id,
    content: 'Your order is ready.',
    phones: [stopped],
    field: 'phone_numbers',
  })
  // a question, which is in the lane of the reply
  const question = { accountId: list.accountId, listId: list.id, shortCodeId: sending.shortCode.id }
  const asked = await db.tx((tx) =>
    sendSystemText(tx, rt, { ...question, phone: 2_065_568_888, content: 'Reply YES', consent: 'not_opted_out' }),
  )
  await sending.sendMo(stopped, 'STOP')
  await waitFor(() => textsTo(stopped).length > 0, { timeoutMs: 8_000, what: 'the reply to STOP' })
  expect(textsTo(stopped)).toHaveLength(1)
  expect(sending.raw().length).toBe(written + 1)
  expect((await sending.states(single))[stopped]).toMatch(/^suppressed/)
  expect(await sending.counters(second)).toMatchObject({ audience: 0 })

  await enableAccount(db, list.accountId)
  await sending.waitForCounters(id, { delivered: 1_000, suppressed: 1 }, 15_000)
  await sending.waitForCounters(asked, { delivered: 1 })
  await sending.waitForCounters(second, { delivered: 1_000 }, 15_000)
  expect(textsTo(stopped)).toHaveLength(1)
})
