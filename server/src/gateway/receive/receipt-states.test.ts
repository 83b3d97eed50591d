import { afterEach, expect, test } from 'vitest'
import { startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { findAlarms } from '../../connections/alarms.ts'

// A receipt is final, intermediate, or has an unknown word; only a final one ends a text.

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>>
afterEach(async () => {
  await carrier.stop()
  await sending.stop()
})

const phone = 2_065_560_001
const dates = 'submit date:2611281200 done date:2611281201'
const receiptText = (stat: string, err = '000') => `id:id1 sub:001 dlvrd:000 ${dates} stat:${stat} err:${err} text:News`

async function sendOne(errorMap: object = {}): Promise<number> {
  sending = await startSending({ binds: 1, responseDeadlineMs: 500 })
  await sending.db.exec(
    'set_up_connection',
    `insert into connections (name, serves_all, error_map, created_at, updated_at) values ('default', true, $1, now(), now())`,
    [errorMap],
  )
  carrier = await startOddCarrier(sending.rt, (_, ordinal) => ({ message_id: `id${ordinal}` }))
  await sending.subscribe(phone)
  const id = await sending.broadcast('News')
  await sending.waitForCounters(id, { sent: 1 })
  return id
}

const receive = (text: string | Buffer, fields: object = {}) =>
  carrier.receipt(text, { source_addr: `1${phone}`, destination_addr: sending.shortCode.code, ...fields })

const softBounces = () =>
  sending.db.many('open_bounces', `select from message_log where phone = $1 and state in ('bounced', 'expired')`, [
    phone,
  ])

test.each<[string, string, { esm_class?: number; err?: string }]>([
  ['an intermediate notification of a word of the carrier', 'BUFFRED', { esm_class: 0x20 }],
  ['an intermediate notification of an unknown word', 'FOO', { esm_class: 0x20 }],
  ['an intermediate notification of a failure', 'UNDELIV', { esm_class: 0x20 }],
  ['an intermediate notification of a delivery', 'DELIVRD', { esm_class: 0x20 }],
  ['an intermediate notification after a header', 'EXPIRED', { esm_class: 0x60 }],
  ['a receipt with an unknown word', 'FOO', {}],
  ['a receipt with an unknown word and a well-known code', 'HANDOVER', { err: '001' }],
  ['a receipt with an intermediate word', 'BUFFRED', {}],
])('%s does not end a text, and the final receipt after it does', async (_case, stat, { err, ...fields }) => {
  const id = await sendOne()
  const text = Buffer.from(receiptText(stat, err))
  const header = fields.esm_class === 0x60 ? Buffer.from('0500030a0101', 'hex') : Buffer.alloc(0)
  expect(await receive(Buffer.concat([header, text]), fields)).toBe(0)
  await sending.waitForCounters(id, { sent: 1 })
  expect(await softBounces()).toEqual([])
  expect(await receive(receiptText('DELIVRD'))).toBe(0)
  await sending.waitForCounters(id, { delivered: 1 })
})

test.each(['NOCRED', 'SYSERR', 'NO_CREDIT'])('%s is blocked and keeps the person on the list', async (stat) => {
  const id = await sendOne()
  expect(await receive(receiptText(stat))).toBe(0)
  await sending.waitForCounters(id, { bounced: 1, cleanCount: 0 })
  expect(await sending.states(id)).toEqual({ [phone]: 'bounced blocked' })
})

test.each([
  ['ASCII digits', '303031', 'err:001', 'bounced hard'],
  ['a code of 0 and a code in the text', '030000', 'err:001', 'bounced hard'],
  ['ASCII digits without a code in the text', '303131', '', 'bounced hard'],
  ['a code as specified', '030001', 'err:000', 'bounced hard'],
])('network_error_code with %s', async (_case, code, err, state) => {
  const id = await sendOne()
  const tlvs = { network_error_code: Buffer.from(code, 'hex') }
  expect(await receive(`id:id1 ${dates} stat:UNDELIV ${err}`, { tlvs })).toBe(0)
  await sending.waitForCounters(id, { bounced: 1 })
  expect(await sending.states(id)).toEqual({ [phone]: state })
})

test.each([
  [
    'esm_class 0 with id and state in TLVs',
    '',
    { esm_class: 0, tlvs: { receipted_message_id: 'id1', message_state: 2 } },
  ],
  ['esm_class 0 with the id in a TLV', receiptText('DELIVRD'), { esm_class: 0, tlvs: { receipted_message_id: 'id1' } }],
  ['ASCII with data_coding 8', `${receiptText('DELIVRD')}`.padEnd(120), { data_coding: 8 }],
  ['ASCII of an odd length with data_coding 8', `${receiptText('DELIVRD')}`.padEnd(121), { data_coding: 8 }],
])('%s is a receipt', async (_case, text, fields) => {
  const id = await sendOne()
  expect(await receive(text, fields)).toBe(0)
  await sending.waitForCounters(id, { delivered: 1 })
  expect(await sending.db.many('mos', 'select from inbound_messages')).toEqual([])
})

test.each([
  ['no state', `id:id1 ${dates} err:000`, ''],
  ['an unknown word', receiptText('FOO'), 'FOO 000'],
  ['a text that is no receipt', 'your text was most certainly delivered', ''],
])('a receipt with %s is kept like an orphan', async (_case, text, carrier_status) => {
  await sendOne()
  expect(await receive(text)).toBe(0)
  const orphans = await sending.db.many('orphans', 'select outcome, state, carrier_status from receipts')
  expect(orphans).toEqual([{ outcome: 'orphan', state: null, carrier_status }])
})

test('words and codes of the error map end a text, or do not', async () => {
  const id = await sendOne({ receipt: { HANDOVER: 'delivered', '077': 'not_final' } })
  expect(await receive(receiptText('UNDELIV', '077'))).toBe(0)
  await sending.waitForCounters(id, { sent: 1 })
  expect(await receive(receiptText('HANDOVER'))).toBe(0)
  await sending.waitForCounters(id, { delivered: 1 })
  await waitFor(async () => (await sending.db.many('none', 'select from receipts')).length === 0)
})

test('NOCRED raises an alarm, which ends with a delivery when it was not seen for five minutes', async () => {
  await sendOne()
  const alarms = async () => (await findAlarms(sending.db, null, new Date())).map(({ name, detail }) => [name, detail])
  expect(await receive(receiptText('NOCRED', '042'))).toBe(0)
  await waitFor(async () => (await alarms()).length > 0)
  expect(await alarms()).toEqual([['account_rejected', expect.stringContaining('NOCRED 042')]])
  const age = `update connection_alarms set seen_at = seen_at - interval '301 seconds'`
  await sending.db.exec('age', age)
  expect(await alarms()).toHaveLength(1)
  expect(await receive(receiptText('DELIVRD'))).toBe(0)
  await waitFor(async () => (await alarms()).length === 0)
})
