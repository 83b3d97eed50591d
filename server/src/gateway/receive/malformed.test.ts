import { describe, expect, test } from 'vitest'
import { deliverBytes, phone, tlv, useDeliveries } from '../../../test/deliveries.ts'

// Of a malformed deliver_sm, everything that is readable counts: its STOP is obeyed, and it gets ESME_ROK.

const ctx = useDeliveries()

const ucs2 = (content: string) => Buffer.from(content, 'utf16le').swap16()

describe.each([
  ['one octet behind the text', { after: '00' }],
  ['three octets behind the text', { after: '000000' }],
  ['a truncated TLV', { after: '1401000a3737' }],
  ['a truncated TLV behind a whole one', { after: `${tlv('0204', 'ab')}1401000a3737` }],
  ['a TLV of vendors that is whole, then one octet', { after: `${tlv('1401', '310')}00` }],
  ['an sm_length that is too large', { smLength: 20 }],
  ['an sm_length that is too small', { smLength: 3 }],
  ['an sm_length of 0', { smLength: 0 }],
  ['a truncated message_payload', { text: '', after: '0424000a53544f50' }],
  ['a padded source address', { source: `1${phone}${' '.repeat(12)}` }],
])('a STOP with %s', (_case, octets) => {
  test('is obeyed, gets ESME_ROK, and logs connection and sequence number', async () => {
    expect(await ctx.receive({ text: 'STOP', ...octets, sequence: 41 })).toBe(0)
    expect(await ctx.mos()).toEqual([{ phone, content: 'STOP', kind: 'opt_out' }])
    expect(await ctx.isBlocked()).toBe(true)
    expect(ctx.warnings).toEqual([
      {
        message: 'malformed deliver_sm, using its readable fields',
        fields: { connection: 'Cedar SMS', sequence: 41, flaw: expect.any(String) },
      },
    ])
  })
})

test('a STOP in UCS-2 with an odd octet behind it is obeyed', async () => {
  expect(await ctx.receive({ text: ucs2('STOP'), dataCoding: 8, after: '00' })).toBe(0)
  expect(await ctx.isBlocked()).toBe(true)
})

test('the text of a malformed MO is not extended by octets that are no text', async () => {
  const bytes = deliverBytes({ destination: ctx.shortCode, text: 'Thanks', after: '1401000a3737' })
  expect(await ctx.receive(bytes)).toBe(0)
  expect(await ctx.mos()).toEqual([{ phone, content: 'Thanks', kind: 'other' }])
})

test('a well-formed MO logs nothing', async () => {
  expect(await ctx.receive({ text: 'STOP', after: tlv('1401', '310') })).toBe(0)
  expect(ctx.warnings).toEqual([])
})

test.each(['0012065560001', '+1-206-556-0001', '01112065560001'])(
  'a STOP of the sender %s is obeyed',
  async (source) => {
    expect(await ctx.receive({ text: 'STOP', source })).toBe(0)
    expect(await ctx.isBlocked()).toBe(true)
  },
)
