import { afterEach, describe, expect, test } from 'vitest'
import { type Responder, startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { closeOverdue } from '../../broadcasts/close.ts'
import { sendSystemText } from '../../messages/messages.ts'

// Receipts are handled according to the connection: its status map and the form of its ids.

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>>
afterEach(async () => {
  await carrier.stop()
  await sending.stop()
})

const first = 2_065_560_001
const withId: Responder = (_, ordinal) => ({ message_id: `id${ordinal}` })

async function start(respond: Responder, settings: { errorMap?: object; idForm?: string } = {}, phones = 1) {
  sending = await startSending({ binds: 1, responseDeadlineMs: 500 })
  await sending.db.exec(
    'set_up_connection',
    `insert into connections (name, serves_all, error_map, receipt_id_form, created_at, updated_at)
     values ('default', true, $1, $2, now(), now())`,
    [settings.errorMap ?? {}, settings.idForm ?? 'any'],
  )
  carrier = await startOddCarrier(sending.rt, respond)
  for (let n = 0; n < phones; n++) await sending.subscribe(first + n)
}

/** Delivers a receipt from the phone with this index and returns the command_status of its response. */
const receipt = (index: number, text: string) =>
  carrier.receipt(text, { source_addr: `1${first + index}`, destination_addr: sending.shortCode.code })

const settleNow = () =>
  sending.db.exec('settle_now', `update receipts set retry_at = now() - interval '1 second' where outcome = 'waiting'`)

const stateOf = (phone: number) =>
  sending.db.one<{ state: string }>('state_of', 'select state from subscribers where phone = $1', [phone])

describe('the status map of the connection applies to receipts', () => {
  test.each([
    ['err:0042 stat:UNDELIV', { '42': 'hard' }, { bounced: 1, cleanCount: 1 }, 'bounced hard', 'cleaned'],
    ['err:001 stat:UNDELIV', { '001': 'blocked' }, { bounced: 1, cleanCount: 0 }, 'bounced blocked', 'subscribed'],
    ['err:902 stat:UNDELIV', { '902': 'delivered' }, { delivered: 1 }, 'delivered', 'subscribed'],
    ['err:4775 stat:REJECTD', {}, { bounced: 1, unsubscribeCount: 0 }, 'bounced opted_out', 'unsubscribed'],
  ])('%s with %o', async (codes, map, counters, state, subscriber) => {
    await start(withId, { errorMap: { receipt: map } })
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    expect(await receipt(0, `id:id1 ${codes}`)).toBe(0)
    await sending.waitForCounters(id, counters)
    expect(await sending.states(id)).toEqual({ [first]: state })
    expect(await stateOf(first)).toEqual({ state: subscriber })
  })

  test('an intermediate receipt does not settle the text', async () => {
    await start(withId)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    expect(await receipt(0, 'id:id1 stat:ENROUTE err:001')).toBe(0)
    expect(await receipt(0, 'id:id1 stat:ACCEPTD err:001')).toBe(0)
    expect(await receipt(0, 'id:id1 stat:DELIVRD err:000')).toBe(0)
    await sending.waitForCounters(id, { delivered: 1 })
  })
})

test('a pending number whose opt-in question bounces hard is cleaned', async () => {
  await start(withId, { errorMap: { receipt: { '42': 'hard' } } })
  await sending.db.exec('pend', `update subscribers set state = 'pending' where phone = $1`, [first])
  const { accountId, id: listId, shortCodeId } = sending.list
  const question = {
    accountId,
    listId,
    shortCodeId,
    phone: first,
    content: 'Reply YES',
    consent: 'not_opted_out',
  } as const
  const id = await sending.db.tx((tx) => sendSystemText(tx, sending.rt, question))
  await sending.waitForCounters(id, { sent: 1 })
  const counts =
    'select coalesce(sum(subscribed), 0)::int as subscribed, coalesce(sum(cleaned), 0)::int as cleaned from list_deltas'
  const before = await sending.db.one<{ subscribed: number; cleaned: number }>('counts', counts)
  expect(await receipt(0, 'id:id1 err:0042 stat:UNDELIV')).toBe(0)
  await sending.waitForCounters(id, { bounced: 1, cleanCount: 1 })
  expect(await stateOf(first)).toEqual({ state: 'cleaned' })
  // a pending number is not among the subscribers
  expect(await sending.db.one('counts', counts)).toEqual({ ...before, cleaned: before.cleaned + 1 })
  expect(await sending.db.many('ledger', 'select kind from opts where phone = $1', [first])).toEqual([
    { kind: 'cleaned' },
  ])
})

describe('the status map of the connection applies to rejections', () => {
  test.each([
    ['hard', 'cleaned'],
    ['blocked', 'subscribed'],
    ['opted_out', 'unsubscribed'],
  ])('%s', async (status, subscriber) => {
    await start(() => ({ command_status: 0x0455 }), { errorMap: { status: { '0x455': status } } })
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { bounced: 1 })
    expect(await sending.states(id)).toEqual({ [first]: `bounced ${status}` })
    expect(await stateOf(first)).toEqual({ state: subscriber })
  })
})

describe('ids are matched in the form of the connection', () => {
  test.each([
    ['hex', '000123456', '0001E240'],
    ['decimal', '1E240', '00123456'],
    ['as_is', 'A-0001', 'A-0001'],
  ])('%s: response %s, receipt %s', async (idForm, inResponse, inReceipt) => {
    await start(() => ({ message_id: inResponse }), { idForm })
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    await receipt(0, `id:${inReceipt} stat:DELIVRD err:000`)
    await sending.waitForCounters(id, { delivered: 1 })
    expect(await sending.db.many('waiting', 'select from receipts')).toHaveLength(0)
  })

  test('as_is: ids of two texts may differ only in case', async () => {
    await start((_, ordinal) => ({ message_id: ordinal === 1 ? 'ab' : 'AB' }), { idForm: 'as_is' }, 2)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 2 })
    const phone = carrier.submits[1]?.destination_addr ?? ''
    await carrier.receipt('id:AB stat:DELIVRD err:000', { source_addr: phone })
    await sending.waitForCounters(id, { sent: 1, delivered: 1 })
  })
})

test('receipts for two texts with the same id settle the text to their own phone', async () => {
  await start(() => ({ message_id: 'same' }), {}, 2)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 2 })
  await receipt(1, 'id:same stat:DELIVRD err:000')
  await sending.waitForCounters(id, { sent: 1, delivered: 1 })
  await receipt(0, 'id:same stat:UNDELIV err:000')
  await sending.waitForCounters(id, { bounced: 1, delivered: 1 })
  expect(await sending.states(id)).toEqual({ [first]: 'bounced soft', [first + 1]: 'delivered' })
})

describe('a text of three parts with one receipt', () => {
  const longText = 'x'.repeat(400)
  const startWith = async (receipts: string) => {
    await start(withId)
    await sending.db.exec('set_receipts', 'update connections set receipts = $1', [receipts])
    const id = await sending.broadcast(longText)
    await sending.waitForCounters(id, { sent: 1 })
    return id
  }

  test.each(['id1', 'id2', 'id3'])(
    'is delivered with the receipt %s, if the connection has one per text',
    async (smscId) => {
      const id = await startWith('one_per_text')
      await receipt(0, `id:${smscId} stat:DELIVRD err:000`)
      await sending.waitForCounters(id, { delivered: 1 })
    },
  )

  test('waits for the others, if the connection has one for each part', async () => {
    const id = await startWith('each_part')
    await receipt(0, 'id:id1 stat:DELIVRD err:000')
    await receipt(0, 'id:id3 stat:DELIVRD err:000')
    await sending.waitForCounters(id, { sent: 1 })
    await receipt(0, 'id:id2 stat:DELIVRD err:000')
    await sending.waitForCounters(id, { delivered: 1 })
  })

  test('bounces with it, if it reports a failure', async () => {
    const id = await startWith('one_per_text')
    await receipt(0, 'id:id1 stat:UNDELIV err:000')
    await sending.waitForCounters(id, { bounced: 1 })
  })
})

test('receipts with source and destination swapped are matched', async () => {
  await start(withId)
  // a ten-digit sender, so that either address of the receipt may be the phone
  await sending.db.exec('ten_digits', `update short_codes set code = '2065559999' where id = $1`, [
    sending.shortCode.id,
  ])
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 1 })
  const swapped = { source_addr: '12065559999', destination_addr: `1${first}` }
  await carrier.receipt('id:id1 stat:DELIVRD err:000', swapped)
  await sending.waitForCounters(id, { delivered: 1 })
  expect(await sending.db.many('waiting', 'select from receipts')).toHaveLength(0)
})

test('a receipt with another phone number is matched if its id is unique', async () => {
  await start(withId)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 1 })
  await carrier.receipt('id:id1 stat:DELIVRD err:000', { source_addr: '12065569999' })
  await settleNow()
  await sending.waitForCounters(id, { delivered: 1 })
})

describe('for a text whose response had no id', () => {
  const withoutId: Responder = () => ({ message_id: '' })
  const datesNow = () => {
    const date = new Date().toISOString().replace(/\D/g, '').slice(2, 12)
    return `submit date:${date} done date:${date}`
  }

  test('a receipt is matched by our reference if it echoes that', async () => {
    await start(withoutId, {}, 2)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 2 })
    for (const submit of carrier.submits) {
      const reference = submit.tlvs?.user_message_reference
      if (reference === undefined) throw new Error('a text without a reference')
      await carrier.receipt('id:777 stat:DELIVRD err:000', {
        source_addr: submit.destination_addr,
        destination_addr: submit.source_addr,
        tlvs: { user_message_reference: reference },
      })
    }
    await settleNow()
    await sending.waitForCounters(id, { sent: 0, delivered: 2 })
  })

  test('a receipt without a reference, or even an id, is matched by phone and excerpt', async () => {
    await start(withoutId, {}, 2)
    const id = await sending.broadcast('The pantry opens at nine.')
    await sending.waitForCounters(id, { sent: 2 })
    await receipt(0, `id:777 ${datesNow()} stat:DELIVRD err:000 text:The pantry opens at `)
    await receipt(1, `id: ${datesNow()} stat:DELIVRD err:000 text:The pantry opens at `)
    await waitFor(async () => (await sending.db.many('waiting', 'select from receipts')).length === 2)
    await settleNow()
    await sending.waitForCounters(id, { sent: 0, delivered: 2 })
  })

  test('no id is stored, and the text is sent like any other', async () => {
    await start(withoutId)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    expect(await sending.states(id)).toEqual({ [first]: 'sent' })
    expect(await sending.db.many('ids', 'select from submits')).toHaveLength(0)
  })
})

test('a text of a never_miss list whose response was lost is sent once more at the receipt deadline', async () => {
  await start((_, ordinal) => (ordinal === 1 ? undefined : { message_id: `id${ordinal}` }))
  await sending.db.exec('never_miss', `update lists set when_unknown = 'never_miss'`)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { unknown: 1 })
  await waitFor(async () => {
    const passDeadline = `update messages set sent_at = sent_at - interval '73 hours' where status = 'sent'`
    return (await sending.db.exec('pass_deadline', passDeadline)) === 1
  })
  await closeOverdue(sending.rt)
  await sending.waitForCounters(id, { unknown: 0, sent: 1 })
  expect(carrier.submits).toHaveLength(2)
  await receipt(0, 'id:id2 stat:DELIVRD err:000')
  await sending.waitForCounters(id, { delivered: 1 })
})
