import { expect, test } from 'vitest'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { StatusMap } from './status-map.ts'

const usual = new StatusMap({})

test('without a map, the state decides and a few codes say more', () => {
  expect(usual.ofReceipt('DELIVRD', '000')).toEqual({ verdict: 'delivered', reason: null })
  expect(usual.ofReceipt('UNDELIV', '')).toEqual({ verdict: 'bounced', reason: 'soft' })
  expect(usual.ofReceipt('UNDELIV', '001')).toEqual({ verdict: 'bounced', reason: 'hard' })
  expect(usual.ofReceipt('REJECTD', '')).toEqual({ verdict: 'bounced', reason: 'blocked' })
  expect(usual.ofReceipt('UNDELIV', '4775')).toEqual({ verdict: 'bounced', reason: 'opted_out' })
  expect(usual.ofReceipt('EXPIRED', '000')).toEqual({ verdict: 'expired', reason: 'soft' })
})

test('what is on its way has no meaning yet, whatever its code', () => {
  expect(usual.ofReceipt('ENROUTE', '001')).toBeUndefined()
  expect(usual.ofReceipt('ACCEPTD', '4775')).toBeUndefined()
})

test('a delivery is one whatever its code', () => {
  expect(new StatusMap({ receipt: { '000': 'hard' } }).ofReceipt('DELIVRD', '000')?.verdict).toBe('delivered')
})

test("the operator's map comes first, without leading zeros and in any case", () => {
  const mapped = new StatusMap({ receipt: { '001': 'soft', '0902': 'delivered', '00A1': 'blocked', rejectd: 'hard' } })
  expect(mapped.ofReceipt('UNDELIV', '1')).toEqual({ verdict: 'bounced', reason: 'soft' })
  expect(mapped.ofReceipt('UNDELIV', '902')).toEqual({ verdict: 'delivered', reason: null })
  expect(mapped.ofReceipt('UNDELIV', 'a1')).toEqual({ verdict: 'bounced', reason: 'blocked' })
  expect(mapped.ofReceipt('REJECTD', '77')).toEqual({ verdict: 'bounced', reason: 'hard' })
})

test('an expired text with a code that means more is a bounce', () => {
  const mapped = new StatusMap({ receipt: { '8': 'soft', '9': 'hard' } })
  expect(mapped.ofReceipt('EXPIRED', '008')).toEqual({ verdict: 'expired', reason: 'soft' })
  expect(mapped.ofReceipt('EXPIRED', '009')).toEqual({ verdict: 'bounced', reason: 'hard' })
})

test('a refusal is soft unless it names the number, or a fault of ours', () => {
  expect(usual.ofStatus(commandStatus.ESME_RSUBMITFAIL)).toBe('soft')
  expect(usual.ofStatus(0x0401)).toBe('soft')
  expect(usual.ofStatus(commandStatus.ESME_RINVDSTADR)).toBe('hard')
  expect(usual.ofStatus(commandStatus.ESME_RINVDSTTON)).toBe('blocked')
  expect(usual.knowsStatus(0x0401)).toBe(false)
})

test('a status is mapped by its number in any spelling or by its name', () => {
  const mapped = new StatusMap({
    status: { '0x00000045': 'hard', '0X401': 'opted_out', esme_rsyserr: 'blocked', '0x0b': 'delivered' },
  })
  expect(mapped.ofStatus(0x45)).toBe('hard')
  expect(mapped.ofStatus(0x401)).toBe('opted_out')
  expect(mapped.knowsStatus(0x401)).toBe(true)
  expect(mapped.ofStatus(0x08)).toBe('blocked')
  expect(mapped.ofStatus(0x0b)).toBe('hard')
})
