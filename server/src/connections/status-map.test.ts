import { expect, test } from 'vitest'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { StatusMap } from './status-map.ts'

const defaults = new StatusMap({})

test('without an error map, the stat determines the status, except for a few well-known codes', () => {
  expect(defaults.ofReceipt('DELIVRD', '000')).toEqual({ state: 'delivered', reason: null })
  expect(defaults.ofReceipt('UNDELIV', '')).toEqual({ state: 'bounced', reason: 'soft' })
  expect(defaults.ofReceipt('UNDELIV', '001')).toEqual({ state: 'bounced', reason: 'hard' })
  expect(defaults.ofReceipt('REJECTD', '')).toEqual({ state: 'bounced', reason: 'blocked' })
  expect(defaults.ofReceipt('UNDELIV', '4775')).toEqual({ state: 'bounced', reason: 'opted_out' })
  expect(defaults.ofReceipt('EXPIRED', '000')).toEqual({ state: 'expired', reason: 'soft' })
})

test('a receipt that is not final has no delivery status, with any code', () => {
  expect(defaults.ofReceipt('ENROUTE', '001')).toBeUndefined()
  expect(defaults.ofReceipt('ACCEPTD', '4775')).toBeUndefined()
})

test('DELIVRD is a delivery with any code', () => {
  expect(new StatusMap({ receipt: { '000': 'hard' } }).ofReceipt('DELIVRD', '000')?.state).toBe('delivered')
})

test("the operator's error map takes precedence, in any case and without leading zeros", () => {
  const mapped = new StatusMap({ receipt: { '001': 'soft', '0902': 'delivered', '00A1': 'blocked', rejectd: 'hard' } })
  expect(mapped.ofReceipt('UNDELIV', '1')).toEqual({ state: 'bounced', reason: 'soft' })
  expect(mapped.ofReceipt('UNDELIV', '902')).toEqual({ state: 'delivered', reason: null })
  expect(mapped.ofReceipt('UNDELIV', 'a1')).toEqual({ state: 'bounced', reason: 'blocked' })
  expect(mapped.ofReceipt('REJECTD', '77')).toEqual({ state: 'bounced', reason: 'hard' })
})

test('an unknown word is not final, with any well-known code, until an operator maps the word or the code', () => {
  for (const err of ['', '000', '001', '4775']) expect(defaults.ofReceipt('OTHER', err, 'FOO')).toBeUndefined()
  const mapped = new StatusMap({ receipt: { UNKNOWN: 'blocked', '043': 'hard', foo: 'delivered' } })
  expect(mapped.ofReceipt('OTHER', '042', 'BAR')).toBeUndefined()
  expect(mapped.ofReceipt('OTHER', '043', 'BAR')).toEqual({ state: 'bounced', reason: 'hard' })
  expect(mapped.ofReceipt('OTHER', '042', 'FOO')).toEqual({ state: 'delivered', reason: null })
  expect(mapped.ofReceipt('UNKNOWN', '042')).toEqual({ state: 'bounced', reason: 'blocked' })
  expect([mapped.knowsReceipt('', 'FOO'), mapped.knowsReceipt('43', 'BAR'), mapped.knowsReceipt('', 'BAR')]).toEqual([
    true,
    true,
    false,
  ])
})

test('any word can be mapped, by itself or by the state that it stands for, also to not_final', () => {
  const mapped = new StatusMap({
    receipt: { ACCEPTD: 'delivered', FAILED: 'hard', UNDELIV: 'soft', DELIVRD: 'not_final', '077': 'not_final' },
  })
  expect(mapped.ofReceipt('ACCEPTD', '000')).toEqual({ state: 'delivered', reason: null })
  expect(mapped.ofReceipt('ACCEPTD', '000', 'ACCEPTED')).toEqual({ state: 'delivered', reason: null })
  expect(mapped.ofReceipt('UNDELIV', '', 'FAILED')).toEqual({ state: 'bounced', reason: 'hard' })
  expect(mapped.ofReceipt('UNDELIV', '')).toEqual({ state: 'bounced', reason: 'soft' })
  expect(mapped.ofReceipt('DELIVRD', '000')).toBeUndefined()
  expect(mapped.ofReceipt('REJECTD', '077')).toBeUndefined()
  expect(mapped.ofReceipt('ENROUTE', '077')).toBeUndefined()
})

test('trouble with our account or the system of the carrier is blocked, unless it is mapped', () => {
  for (const stat of ['NOCRED', 'SYSERR'] as const) {
    expect(defaults.ofReceipt(stat, '000')).toEqual({ state: 'bounced', reason: 'blocked' })
    expect(new StatusMap({ receipt: { [stat]: 'soft' } }).ofReceipt(stat, '')?.reason).toBe('soft')
  }
})

test('an expired text with a code mapped to hard is a bounce', () => {
  const mapped = new StatusMap({ receipt: { '8': 'soft', '9': 'hard' } })
  expect(mapped.ofReceipt('EXPIRED', '008')).toEqual({ state: 'expired', reason: 'soft' })
  expect(mapped.ofReceipt('EXPIRED', '009')).toEqual({ state: 'bounced', reason: 'hard' })
})

test('a rejection is soft unless the number or the sender is at fault', () => {
  expect(defaults.ofStatus(commandStatus.ESME_RSUBMITFAIL)).toBe('soft')
  expect(defaults.ofStatus(0x0401)).toBe('soft')
  expect(defaults.ofStatus(commandStatus.ESME_RINVDSTADR)).toBe('hard')
  expect(defaults.ofStatus(commandStatus.ESME_RINVDSTTON)).toBe('blocked')
  expect(defaults.knowsStatus(0x0401)).toBe(false)
})

test('a command_status is mapped by its number in any spelling or by its name', () => {
  const mapped = new StatusMap({
    status: { '0x00000045': 'hard', '0X401': 'opted_out', esme_rsyserr: 'blocked', '0x0b': 'delivered' },
  })
  expect(mapped.ofStatus(0x45)).toBe('hard')
  expect(mapped.ofStatus(0x401)).toBe('opted_out')
  expect(mapped.knowsStatus(0x401)).toBe(true)
  expect(mapped.ofStatus(0x08)).toBe('blocked')
  expect(mapped.ofStatus(0x0b)).toBe('hard')
})
