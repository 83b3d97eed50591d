import { afterEach, beforeEach, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { startSending } from '../../../test/sending.ts'
import { billSent } from '../../broadcasts/bill.ts'
import { acceptBroadcast, sendToNumbers } from '../../messages/messages.ts'
import { upsertRate } from '../../rates/rates.queries.ts'

let sending: Awaited<ReturnType<typeof startSending>>
beforeEach(async () => {
  sending = await startSending()
})
afterEach(() => sending.stop())

const subscribe = (phone: number, firstName: string) =>
  make.subscriber(sending.db, { listId: sending.list.id, phone, firstName })

/** Returns the texts on a phone, oldest first. */
async function inbox(phone: number): Promise<string[]> {
  const { messages } = await sending.control('GET', `/handsets/${phone}/messages`)
  return (messages as { content: string; direction?: string }[]).map((message) => message.content)
}

test('each phone receives its own text, and the bill counts the parts of each', async () => {
  const { db, rt, list } = sending
  await upsertRate(db, {
    accountId: null,
    channel: 'sms',
    carrier: null,
    price: '0.01',
    since: '2020-01-01',
    source: '',
  })
  await subscribe(2065560010, 'Ana')
  await subscribe(2065560020, 'Łucja')
  await subscribe(2065560030, '')
  const ending = `, ${'come along '.repeat(12)}`
  const { id } = await acceptBroadcast(rt, {
    accountId: list.accountId,
    list,
    content: `Hi {first_name}${ending}`,
    maxParts: 3,
  })
  const gateway = await sending.startGateway()
  await sending.waitForCounters(id, { delivered: 3 })
  await gateway.stop()
  expect(await inbox(2065560010)).toEqual([`Hi Ana${ending}`])
  expect(await inbox(2065560020)).toEqual([`Hi Łucja${ending}`])
  expect(await inbox(2065560030)).toEqual([`Hi friend${ending}`])
  expect(sending.raw()).toHaveLength(5)
  await billSent(rt)
  const bill = await db.one(
    'bill',
    'select parts, least_parts as least, most_parts as most, cost::float8 as cost from message_bills where message_id = $1',
    [id],
  )
  expect(bill).toEqual({ parts: 5, least: 1, most: 3, cost: 0.05 })
})

test('each number of a transactional message receives its own text', async () => {
  const { rt, list } = sending
  await subscribe(2065560010, 'Ana')
  const gateway = await sending.startGateway()
  const texts = { accountId: list.accountId, listId: list.id, shortCodeId: list.shortCodeId, field: 'x' }
  const phones = [2065560010, 2065560020]
  const { id } = await sendToNumbers(rt, { ...texts, phones, content: 'Hi {first_name|neighbor}' })
  await sending.waitForCounters(id, { delivered: 2 })
  await gateway.stop()
  expect(await inbox(2065560010)).toEqual(['Hi Ana'])
  expect(await inbox(2065560020)).toEqual(['Hi neighbor'])
})
