import { describe, expect, test } from 'vitest'
import { deliverSm } from './pdu.ts'
import { formatReceipt } from './receipt-format.ts'
import { canonicalMessageId, isReceipt, parseReceipt, type Receipt } from './receipt-text.ts'
import type { Tlvs } from './tlvs.ts'

const deliver = (text: string | Buffer, tlvs?: Tlvs, more = {}) =>
  deliverSm({
    source_addr: '12065550100',
    destination_addr: '12345',
    esm_class: 0x04,
    short_message: typeof text === 'string' ? Buffer.from(text, 'latin1') : text,
    tlvs,
    ...more,
  })

const layouts: [name: string, text: string, receipt: Receipt | undefined][] = [
  [
    'appendix B',
    'id:0123456789 sub:001 dlvrd:001 submit date:2601021530 done date:2601021531 stat:DELIVRD err:000 text:Hello there',
    {
      message_id: '0123456789',
      stat: 'DELIVRD',
      err: '000',
      submit_date: '2601021530',
      done_date: '2601021531',
      text: 'Hello there',
    },
  ],
  [
    'different case, and seconds',
    'ID:1A2B SUB:001 DLVRD:001 Submit Date:260102153000 Done Date:260102153101 Stat:undeliv Err:005 Text:',
    {
      message_id: '1A2B',
      stat: 'UNDELIV',
      err: '005',
      submit_date: '260102153000',
      done_date: '260102153101',
      text: '',
    },
  ],
  [
    'spaces after the colons, underscores, line breaks',
    'id: 77\r\nsubmit_date: 2601021530\r\ndone_date: 2601021531\r\nstat: EXPIRED\r\nerr: 008',
    { message_id: '77', stat: 'EXPIRED', err: '008', submit_date: '2601021530', done_date: '2601021531' },
  ],
  ['fields missing', 'id:77 stat:REJECTD', { message_id: '77', stat: 'REJECTD' }],
  [
    'empty fields',
    'id:77 sub: dlvrd: submit date: done date: stat:ACCEPTD err: text:',
    { message_id: '77', stat: 'ACCEPTD', text: '' },
  ],
  ['another order', 'stat:DELIVRD err:000 id:77', { message_id: '77', stat: 'DELIVRD', err: '000' }],
  [
    'a state word in full',
    'id:77 status:UNDELIVERABLE error:1',
    { message_id: '77', stat: 'UNDELIV', word: 'UNDELIVERABLE', err: '1' },
  ],
  ['an unknown state', 'id:77 stat:WHATEVER', { message_id: '77', stat: 'OTHER', word: 'WHATEVER' }],
  [
    'a text that looks like fields',
    'id:77 stat:DELIVRD text:id:66 stat:UNDELIV',
    { message_id: '77', stat: 'DELIVRD', text: 'id:66 stat:UNDELIV' },
  ],
  ['a UUID', 'id:6f1c-44-aa stat:DELETED', { message_id: '6f1c-44-aa', stat: 'DELETED' }],
  ['spaces before the colons, and a vertical bar', 'id : 77|stat : DELIVRD', { message_id: '77', stat: 'DELIVRD' }],
  [
    "a vendor's own fields",
    'id:77 mccmnc:310410 stat:DELIVRD err:000 grid:5 x2:1 text:hi',
    { message_id: '77', stat: 'DELIVRD', err: '000', text: 'hi' },
  ],
  [
    'times with colons',
    'id:77 done date:2026-01-02 15:31:00 stat:DELIVRD',
    { message_id: '77', stat: 'DELIVRD', done_date: '2026-01-02 15:31:00' },
  ],
  ['an empty id', 'id: stat:DELIVRD', { message_id: '', stat: 'DELIVRD' }],
  ['no state', 'id:77 err:000', undefined],
  ['a text of a person', 'hello, what is my id?', undefined],
  ['an empty text', '', undefined],
]

describe('parseReceipt parses', () => {
  test.each(layouts)('%s', (_name, text, receipt) => {
    expect(parseReceipt(deliver(text))).toEqual(receipt)
  })

  test('a text in message_payload, in UCS-2, and after a user data header', () => {
    const text = 'id:77 stat:DELIVRD'
    const expected = { message_id: '77', stat: 'DELIVRD' }
    expect(parseReceipt(deliver('', { message_payload: Buffer.from(text) }))).toEqual(expected)
    const ucs2 = Buffer.from(text, 'utf16le').swap16()
    expect(parseReceipt(deliver(ucs2, undefined, { data_coding: 8 }))).toEqual(expected)
    const headed = Buffer.concat([Buffer.from('0500030a0261', 'hex'), Buffer.from(text)])
    expect(parseReceipt(deliver(headed, undefined, { esm_class: 0x44 }))).toEqual(expected)
  })
})

test('TLVs take precedence over the text, and are sufficient without a text', () => {
  const tlvs = { receipted_message_id: 'abc', message_state: 5, network_error_code: Buffer.from('03001b', 'hex') }
  expect(parseReceipt(deliver('', tlvs))).toEqual({ message_id: 'abc', stat: 'UNDELIV', err: '027' })
  expect(parseReceipt(deliver('id:1 stat:DELIVRD err:000 text:hi', tlvs))).toEqual({
    message_id: 'abc',
    stat: 'UNDELIV',
    word: 'DELIVRD',
    err: '027',
    text: 'hi',
  })
  expect(parseReceipt(deliver('id:1 stat:DELIVRD', { message_state: 99 }))).toEqual({
    message_id: '1',
    stat: 'DELIVRD',
  })
})

test.each([
  ['303031', 'err:005', '001'],
  ['303031', 'err:001', '001'],
  ['303030', 'err:001', '001'],
  ['030000', 'err:001', '001'],
  ['030000', '', '000'],
  ['03001b', 'err:001', '027'],
  ['001b', 'err:001', '027'],
  ['30303031', 'err:005', '0001'],
  ['30303100', 'err:005', '001'],
  ['03', 'err:001', '001'],
  ['', 'err:001', '001'],
])('the network_error_code %s and the text %j are the error %s', (code, text, err) => {
  const tlvs = { network_error_code: Buffer.from(code, 'hex') }
  expect(parseReceipt(deliver(`id:1 stat:UNDELIV ${text}`, tlvs))?.err).toBe(err)
})

test.each<[string, Buffer, number]>([
  ['ASCII with data_coding 8 and an even length', Buffer.from('id:77 stat:DELIVRD'), 8],
  ['ASCII with data_coding 8 and an odd length', Buffer.from('id:777 stat:DELIVRD'), 8],
  ['ASCII with data_coding 0x18', Buffer.from('id:77 stat:DELIVRD'), 0x18],
  ['UCS-2 with data_coding 0', Buffer.from('id:77 stat:DELIVRD', 'utf16le').swap16(), 0],
  ['little-endian UCS-2 with data_coding 8', Buffer.from('id:77 stat:DELIVRD', 'utf16le'), 8],
  ['little-endian UCS-2 with data_coding 0', Buffer.from('id:77 stat:DELIVRD', 'utf16le'), 0],
])('parseReceipt reads %s', (_case, octets, data_coding) => {
  expect(parseReceipt(deliver(octets, undefined, { data_coding }))).toMatchObject({ stat: 'DELIVRD' })
})

const appendixB = 'id:1 sub:001 dlvrd:001 submit date:2611281200 done date:2611281201 stat:DELIVRD err:000 text:News'

test.each<[string, Tlvs | undefined, string, boolean]>([
  ['an id and a state', { receipted_message_id: '1', message_state: 2 }, '', true],
  [
    'an id and a state of two octets',
    { receipted_message_id: '1', unknown: [{ tag: 0x0427, value: Buffer.from([0, 2]) }] },
    '',
    true,
  ],
  ['an id, and a state in the text', { receipted_message_id: '1' }, 'id:1 stat:DELIVRD', true],
  ['only an id', { receipted_message_id: '1' }, 'STOP', false],
  ['only a state', { message_state: 2 }, 'STOP', false],
  ['an id and a state in its text', undefined, 'id:1 stat:DELIVRD', false],
  ['the text of appendix B', undefined, appendixB, true],
  ['the text of appendix B, spaced', undefined, ' ID : 1 Submit Date : 2611281200 Stat : Delivrd', true],
  ['the text of appendix B with an unknown state', undefined, appendixB.replace('DELIVRD', 'MAYBE'), false],
  ['the text of appendix B without an id', undefined, appendixB.replace('id:1', 'id:'), false],
  ['the text of a person', undefined, 'My id:7 is on the done date:soon list, what is its stat: unclear', false],
  ['the text of appendix B in a payload', { message_payload: Buffer.from(appendixB) }, '', true],
  ['the text of appendix B behind a NUL', { message_payload: Buffer.from(appendixB) }, '\0', true],
])('a deliver_sm of esm_class 0 with %s: is a receipt or not', (_case, tlvs, text, receipt) => {
  expect(isReceipt(deliver(text, tlvs, { esm_class: 0 }))).toBe(receipt)
})

test.each<[state: number, word: string, stat: string]>([
  [0, 'DELIVRD', 'DELIVRD'],
  [1, 'UNDELIV', 'UNDELIV'],
  [6, 'DELIVRD', 'DELIVRD'],
  [7, 'EXPIRED', 'EXPIRED'],
  [1, 'NOCRED', 'NOCRED'],
  // a definite state counts, whatever the text has
  [2, 'ACCEPTD', 'DELIVRD'],
  [5, 'ENROUTE', 'UNDELIV'],
  [2, 'UNDELIV', 'DELIVRD'],
  [5, 'DELIVRD', 'UNDELIV'],
  // no definite state
  [1, 'UNKNOWN', 'ENROUTE'],
  [7, 'ACCEPTD', 'UNKNOWN'],
  [1, 'FOO', 'ENROUTE'],
])('message_state %i with %s in the text is %s', (message_state, word, stat) => {
  expect(parseReceipt(deliver(`id:1 stat:${word}`, { message_state }))).toMatchObject({ stat })
})

test('a message_state that is not defined is an unknown word', () => {
  expect(parseReceipt(deliver('id:1', { message_state: 99 }))).toEqual({
    message_id: '1',
    stat: 'OTHER',
    word: 'STATE 99',
  })
})

test('isReceipt depends on esm_class only (§5.2.12), if there is no receipted_message_id', () => {
  const kinds: [number, boolean][] = [
    [0x00, false],
    [0x40, false],
    [0x04, true],
    [0x44, true],
    [0x20, true],
    [0x08, false],
    [0x10, false],
  ]
  for (const [esm_class, receipt] of kinds) expect(isReceipt(deliver('id:1', undefined, { esm_class }))).toBe(receipt)
})

test('parseReceipt parses the output of formatReceipt', () => {
  const bytes = formatReceipt({
    message_id: '00ab',
    stat: 'UNDELIV',
    submitDate: new Date('2026-01-02T15:30:45Z'),
    doneDate: new Date('2026-01-02T15:31:00Z'),
    err: '001',
    text: 'Twenty-five characters it',
  })
  expect(bytes.toString()).toBe(
    'id:00ab sub:001 dlvrd:000 submit date:2601021530 done date:2601021531 stat:UNDELIV err:001 text:Twenty-five characte',
  )
  expect(parseReceipt(deliver(bytes))).toMatchObject({ message_id: '00ab', stat: 'UNDELIV', err: '001' })
})

test.each([
  ['00ABCDEF', 'abcdef'],
  ['0', '0'],
  ['0000', '0'],
  ['', ''],
  [' 0012 ', '12'],
  ['1000', '1000'],
  ['12\0ab', '12ab'],
  ['f'.repeat(60_000), 'f'.repeat(255)],
])('canonicalMessageId(%j) returns %j', (id, canonical) => {
  expect(canonicalMessageId(id)).toBe(canonical)
})

test.each([
  // the words of appendix B, full words, and words observed from SMSCs
  ['ENROUTE', ['ENROUTE', 'enroute', 'BUFFERED', 'BUFFERD', 'BUFFRED', 'SCHEDULED', 'QUEUED', 'SENT']],
  ['DELIVRD', ['DELIVRD', 'DELIVERED', 'delivrd']],
  ['EXPIRED', ['EXPIRED', 'EXPIRD']],
  ['DELETED', ['DELETED']],
  ['UNDELIV', ['UNDELIV', 'UNDELIVERED', 'UNDELIVERABLE', 'FAILED', 'FAIL']],
  ['ACCEPTD', ['ACCEPTD', 'ACCEPTED']],
  ['UNKNOWN', ['UNKNOWN']],
  ['OTHER', ['FOO', 'SKIPPED', 'CREDIT']],
  ['NOCRED', ['NOCRED', 'NO_CREDIT', 'NO CREDIT', 'INSUFFICIENT_CREDIT']],
  ['SYSERR', ['SYSERR', 'SYS_ERR', 'SYSTEM_ERROR']],
  ['REJECTD', ['REJECTD', 'REJECTED']],
])('parseReceipt returns the state %s for the words %j', (stat, words) => {
  for (const word of words) expect(parseReceipt(deliver(`id:77 stat:${word}`))?.stat).toBe(stat)
})

test.each([
  ['submit date:2601021530 done date:2601021531'],
  ['submit_date:2601021530 done_date:2601021531'],
  ['submitdate:2601021530 donedate:2601021531'],
])('parseReceipt reads the dates of %j', (dates) => {
  expect(parseReceipt(deliver(`id:77 ${dates} stat:DELIVRD`))).toMatchObject({
    submit_date: '2601021530',
    done_date: '2601021531',
  })
})
