import { expect, test } from 'vitest'
import { phone, tlv, useDeliveries } from '../../../test/deliveries.ts'
import { make } from '../../../test/make.ts'
import type { Session } from '../../smpp/session.ts'

// MOs as carriers write them: encodings, destinations, senders, parts and copies.

const ctx = useDeliveries()

const ucs2 = (content: string) => Buffer.from(content, 'utf16le').swap16()
const receipt =
  'id:0077 sub:001 dlvrd:000 submit date:2611281200 done date:2611281201 stat:UNDELIV err:001 text:Stop by the fair'
const header = (total: number, number: number) => Buffer.from([5, 0, 3, 9, total, number])
// with a 16-bit reference and a language table
const wide = (total: number, number: number) => Buffer.from([9, 0x24, 1, 1, 8, 4, 0, 9, total, number])

test.each([
  ['UCS-2 with data_coding 0', { text: ucs2('STOP') }],
  ['UCS-2 with data_coding 3', { text: ucs2('Stop'), dataCoding: 3 }],
  ['little-endian UCS-2', { text: Buffer.from('STOP', 'utf16le'), dataCoding: 8 }],
  ['ASCII with data_coding 8', { text: 'STOP', dataCoding: 8 }],
  ['a payload in UCS-2 with data_coding 0', { after: tlv('0424', ucs2('STOP')) }],
  ['the only part of a text', { text: Buffer.concat([header(1, 1), Buffer.from('STOP')]), esmClass: 0x40 }],
])('a STOP in %s is obeyed', async (_case, octets) => {
  expect(await ctx.receive(octets)).toBe(0)
  expect(await ctx.isBlocked()).toBe(true)
})

test.each([
  ['the TLVs of a receipt', { after: tlv('001e', '77') + tlv('0427', Buffer.from([2])) }],
  ['the esm_class of a receipt', { esmClass: 0x04 }],
  ['the esm_class of an intermediate notification', { esmClass: 0x20 }],
])('a STOP with %s is obeyed', async (_case, octets) => {
  expect(await ctx.receive({ text: 'STOP', ...octets })).toBe(0)
  expect(await ctx.isBlocked()).toBe(true)
})

test('a HELP with the esm_class of a receipt gets its reply', async () => {
  expect(await ctx.receive({ text: 'Help?', esmClass: 0x04 })).toBe(0)
  expect(await ctx.mos()).toEqual([{ phone, content: 'Help?', kind: 'help' }])
})

test('another text with the esm_class of a receipt is listed with the receipts', async () => {
  expect(await ctx.receive({ text: 'See you there', esmClass: 0x04 })).toBe(0)
  expect(await ctx.mos()).toEqual([])
  const receipts = 'select outcome, excerpt from receipts'
  expect(await ctx.db.many('receipts', receipts)).toEqual([{ outcome: 'orphan', excerpt: 'See you there' }])
})

test.each([
  ['without a type in the esm_class', {}],
  ['with the type of an acknowledgment', { esmClass: 0x08 }],
  ['in a payload', { text: '', after: tlv('0424', receipt) }],
  ['in a payload behind a NUL', { text: '\0', after: tlv('0424', receipt) }],
  ['in UCS-2', { text: ucs2(receipt), dataCoding: 8 }],
])('a receipt in text %s is a receipt', async (_case, octets) => {
  expect(await ctx.receive({ text: receipt, ...octets })).toBe(0)
  expect(await ctx.mos()).toEqual([])
  const receipts = 'select smsc_id, state, carrier_status from receipts'
  expect(await ctx.db.many('bounces', receipts)).toEqual([
    { smsc_id: '77', state: 'bounced', carrier_status: 'UNDELIV 001' },
  ])
})

test.each(['155123', '055123', '', '+1 55123', 'CEDAR'])(
  'a STOP to %j is an opt-out from every sender of its connection',
  async (destination) => {
    const other = await make.shortCode(ctx.db, { accountId: ctx.list.accountId })
    const elsewhere = await make.shortCode(ctx.db, { accountId: ctx.list.accountId })
    const otherConnection = await make.connection(ctx.db)
    await ctx.db.exec('route', 'insert into short_code_routes (short_code_id, connection_id) values ($1, $2)', [
      elsewhere.id,
      otherConnection.id,
    ])
    await make.subscriber(ctx.db, { listId: ctx.list.id, phone })
    expect(await ctx.receive({ text: 'STOP', destination })).toBe(0)
    expect(await ctx.isBlocked()).toBe(true)
    expect(await ctx.isBlocked(other.code)).toBe(true)
    expect(await ctx.isBlocked(elsewhere.code)).toBe(false)
    expect(ctx.warnings.map(({ message }) => message)).toContain(
      'opt-out to an unknown destination, applied to every sender of its connection',
    )
    const states = 'select state from subscribers where phone = $1'
    expect(await ctx.db.many('states', states, [phone])).toEqual([{ state: 'unsubscribed' }])
  },
)

test('a STOP to a known sender is an opt-out from that sender only', async () => {
  const other = await make.shortCode(ctx.db, { accountId: ctx.list.accountId })
  await ctx.receive({ text: 'STOP' })
  expect([await ctx.isBlocked(), await ctx.isBlocked(other.code)]).toEqual([true, false])
  expect(ctx.warnings).toEqual([])
})

test('an MO to an unknown destination is a warning, once per minute and destination', async () => {
  await ctx.receive({ text: 'Thanks', destination: '155123', sequence: 9 })
  await ctx.receive({ text: 'Hello', destination: '155123' })
  await ctx.receive({ text: 'Hello' })
  expect(ctx.warnings).toEqual([
    {
      message: 'MO to an unknown destination, listed for operators',
      fields: { connection: 'Cedar SMS', sequence: 9, destination: '155123' },
    },
  ])
})

test('a STOP to an unknown destination is confirmed by the only sender of its connection', async () => {
  await ctx.receive({ text: 'STOP', destination: '155123' })
  const replies = 'select from inbound_messages where reply_message_id is not null'
  expect(await ctx.db.many('replies', replies)).toHaveLength(1)
})

test.each([
  ['the last part', { text: Buffer.concat([header(3, 3), Buffer.from(' end')]), esmClass: 0x40 }],
  ['the first part', { text: Buffer.concat([header(2, 1), Buffer.from('STOP')]), esmClass: 0x40 }],
  ['a part whose header has no bit in the esm_class', { text: Buffer.concat([header(3, 2), Buffer.from('quit')]) }],
  [
    'a part with an element besides the concatenation',
    { text: Buffer.concat([wide(3, 3), Buffer.from('end')]), esmClass: 0x40 },
  ],
  ['a part with such a header without its bit', { text: Buffer.concat([wide(2, 1), Buffer.from('stop')]) }],
  ['a part with sar fields without a total', { text: 'END', after: `020c00020009020f000102` }],
  ['a part with sar fields', { text: 'END', after: `020c00020009020e000103020f000103` }],
])('%s of a longer text is kept with its place, and is no opt-out', async (_case, octets) => {
  expect(await ctx.receive(octets)).toBe(0)
  expect(await ctx.isBlocked()).toBe(false)
  const parts = 'select kind, part_reference, coalesce(part_total, part_number) > 1 as is_part from inbound_messages'
  expect(await ctx.db.many('parts', parts)).toEqual([{ kind: 'other', part_reference: 9, is_part: true }])
})

test.each([
  ['a total of 0', '020e000100020f000101'],
  ['a total of 0 and a number', '020e000100020f000102'],
  ['a total of 1', '020e000101020f000101'],
  ['the number 1 without a total', '020f000101'],
])('a STOP with sar fields with %s is no part', async (_case, fields) => {
  expect(await ctx.receive({ text: 'STOP', after: `020c00020009${fields}` })).toBe(0)
  expect(await ctx.isBlocked()).toBe(true)
})

test('esm_class and user data header are stored with an MO', async () => {
  await ctx.receive({ text: Buffer.concat([header(3, 2), Buffer.from('abc')]), esmClass: 0x43 })
  const stored = 'select esm_class, udh, content, part_number from inbound_messages'
  expect(await ctx.db.many('stored', stored)).toEqual([
    { esm_class: 0x43, udh: header(3, 2), content: 'abc', part_number: 2 },
  ])
})

test.each(['CEDAR', '77', '442071838750', ''])('an MO from %j is kept for operators', async (source) => {
  expect(await ctx.receive({ text: 'STOP', source, sequence: 9 })).toBe(0)
  const kept = 'select phone, source_addr, content, problem, kind from inbound_messages'
  expect(await ctx.db.many('kept', kept)).toEqual([
    { phone: null, source_addr: source, content: 'STOP', problem: 'sender', kind: 'opt_out' },
  ])
  expect(ctx.warnings).toEqual([
    {
      message: 'MO from an address that is no phone number, listed for operators',
      fields: { connection: 'Cedar SMS', sequence: 9 },
    },
  ])
})

const bound = () => ({ bound: true }) as Session

test('a person may send the same word twice', async () => {
  const session = bound()
  for (const text of ['HELP', 'HELP', 'STOP', 'STOP']) await ctx.receive({ text }, session)
  expect((await ctx.mos()).map(({ kind }) => kind)).toEqual(['help', 'help', 'opt_out', 'opt_out'])
})

test('an MO whose response was lost with its session is one row when it is sent again', async () => {
  const session = { bound: true }
  await ctx.receive({ text: 'HELP' }, session as Session)
  session.bound = false
  expect(await ctx.receive({ text: 'HELP' })).toBe(0)
  const rows = 'select redeliveries, reply_message_id is not null as replied from inbound_messages'
  expect(await ctx.db.many('rows', rows)).toEqual([{ redeliveries: 1, replied: true }])
})

test('an MO that differs in one octet is another one, also after a lost response', async () => {
  const session = { bound: true }
  await ctx.receive({ text: 'HELP' }, session as Session)
  session.bound = false
  await ctx.receive({ text: 'Help' })
  await ctx.receive({ text: 'HELP', source: '12065560002' })
  expect(await ctx.mos()).toHaveLength(3)
})

test('a STOP that is sent again is one row with one confirmation, and opts the person out once more', async () => {
  await make.subscriber(ctx.db, { listId: ctx.list.id, phone })
  const session = { bound: true }
  await ctx.receive({ text: 'STOP' }, session as Session)
  session.bound = false
  await ctx.db.exec('back', `update subscribers set state = 'subscribed' where phone = $1`, [phone])
  expect(await ctx.receive({ text: 'STOP' })).toBe(0)
  expect(await ctx.mos()).toEqual([{ phone, content: 'STOP', kind: 'opt_out' }])
  expect(await ctx.db.many('state', 'select state from subscribers')).toEqual([{ state: 'unsubscribed' }])
  expect(
    await ctx.db.many('confirmations', `select from messages where content like 'You are unsubscribed%'`),
  ).toHaveLength(1)
})

test('a PDU that is repeated with its sequence number on its session is one row, and its STOP is applied once more', async () => {
  await make.subscriber(ctx.db, { listId: ctx.list.id, phone })
  const session = bound()
  await ctx.receive({ text: 'STOP', sequence: 5 }, session)
  await ctx.db.exec('back', `update subscribers set state = 'subscribed' where phone = $1`, [phone])
  expect(await ctx.receive({ text: 'STOP', sequence: 5 }, session)).toBe(0)
  expect(await ctx.mos()).toHaveLength(1)
  expect(await ctx.db.many('state', 'select state from subscribers')).toEqual([{ state: 'unsubscribed' }])
  // another sequence number is another text, and so is another text with this number
  await ctx.receive({ text: 'STOP', sequence: 6 }, session)
  await ctx.receive({ text: 'HELP', sequence: 6 }, session)
  await ctx.receive({ text: 'STOP', sequence: 5 }, bound())
  expect((await ctx.mos()).map(({ content }) => content)).toEqual(['STOP', 'STOP', 'HELP', 'STOP'])
})
