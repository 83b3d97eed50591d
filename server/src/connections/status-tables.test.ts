import { describe, expect, test } from 'vitest'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { type ReceiptStat, statOfState } from '../smpp/pdu/receipt-text.ts'
import { StatusMap } from './status-map.ts'

// A second, hand-written copy of each table, so that a changed, removed or added row fails a test.

const defaults = new StatusMap({})

describe('the state of a receipt without an error code', () => {
  test.each<[ReceiptStat, number, string | undefined, string | null | undefined]>([
    // stat, message_state (SMPP 3.4 §5.2.28), state, reason
    ['ENROUTE', 0, undefined, undefined],
    ['ENROUTE', 1, undefined, undefined],
    ['DELIVRD', 2, 'delivered', null],
    ['EXPIRED', 3, 'expired', 'soft'],
    ['DELETED', 4, 'bounced', 'soft'],
    ['UNDELIV', 5, 'bounced', 'soft'],
    ['ACCEPTD', 6, undefined, undefined],
    ['UNKNOWN', 7, 'bounced', 'soft'],
    ['REJECTD', 8, 'bounced', 'blocked'],
  ])('%s, message_state %i, is %s (%s)', (stat, messageState, state, reason) => {
    const expected = state === undefined ? undefined : { state, reason }
    for (const err of ['', '0', '000', '255', '099']) expect(defaults.ofReceipt(stat, err)).toEqual(expected)
    expect(statOfState.get(messageState)).toBe(stat)
  })

  test('is one of these', () => {
    expect([...statOfState.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })

  test('never means that the number is dead or that the person opted out', () => {
    for (const stat of statOfState.values()) {
      expect(['hard', 'opted_out']).not.toContain(defaults.ofReceipt(stat, '')?.reason)
    }
  })
})

describe('the error codes with the same definition at every carrier', () => {
  const known: Record<string, string> = {
    // GSM 09.02 MAP errors: unknown subscriber, teleservice not provisioned
    1: 'hard',
    11: 'hard',
    // bad destination, not on this carrier, bad destination, unknown destination, landline
    351: 'hard',
    410: 'hard',
    4720: 'hard',
    30005: 'hard',
    30006: 'hard',
    // spam, blocked by the carrier, message blocked, carrier violation
    4470: 'blocked',
    4770: 'blocked',
    30004: 'blocked',
    30007: 'blocked',
    // the carrier's own list of opt-outs
    4775: 'opted_out',
    21610: 'opted_out',
  }
  const states: [ReceiptStat, string, string][] = [
    ['UNDELIV', 'bounced', 'soft'],
    ['DELETED', 'bounced', 'soft'],
    ['UNKNOWN', 'bounced', 'soft'],
    ['EXPIRED', 'expired', 'soft'],
    ['REJECTD', 'bounced', 'blocked'],
  ]

  test.each(Object.entries(known))('include %s, which is %s', (code, reason) => {
    for (const [stat] of states) {
      expect(defaults.ofReceipt(stat, code)).toEqual({ state: 'bounced', reason })
      expect(defaults.ofReceipt(stat, `00${code} `)).toEqual({ state: 'bounced', reason })
    }
    expect(defaults.ofReceipt('DELIVRD', code)).toEqual({ state: 'delivered', reason: null })
    for (const stat of ['ENROUTE', 'ACCEPTD'] as const) expect(defaults.ofReceipt(stat, code)).toBeUndefined()
  })

  test('are the only codes that change the status of a state', () => {
    for (let code = 0; code <= 40_000; code++) {
      if (code in known) continue
      for (const [stat, state, reason] of states) {
        const status = defaults.ofReceipt(stat, String(code))
        if (status?.state !== state || status.reason !== reason) expect.fail(`${stat} ${code} is ${status?.reason}`)
      }
    }
  })
})

describe('the command_status of a rejected submit_sm', () => {
  // SMPP 3.4 §5.1.3: errors of the PDU, the sender or the account; the number may be valid
  const senderErrors = [
    0x01, // message length
    0x02, // command length
    0x03, // command id
    0x04, // bind status
    0x06, // priority flag
    0x07, // registered delivery flag
    0x0a, // source address
    0x15, // service type
    0x43, // esm_class
    0x48, // source TON
    0x49, // source NPI
    0x50, // destination TON
    0x51, // destination NPI
    0x54, // replace_if_present flag
    0x61, // schedule delivery time
    0x62, // validity period
    0x66, // ESME receiver reject
    0xc0, // optional part of the PDU
    0xc1, // optional parameter not allowed
    0xc2, // parameter length
    0xc3, // expected optional parameter missing
    0xc4, // optional parameter value
  ]
  const expected = new Map<number, string>([...senderErrors.map((status): [number, string] => [status, 'blocked'])])
  expected.set(0x0b, 'hard') // destination address

  test.each([...expected])('0x%s is %s', (status, reason) => {
    expect(defaults.ofStatus(status)).toBe(reason)
    expect(defaults.knowsStatus(status)).toBe(true)
  })

  test('is a soft bounce and not mapped for every other status', () => {
    const statuses = [...Array(0x600).keys(), ...Object.values(commandStatus)]
    for (const status of statuses.filter((each) => !expected.has(each))) {
      expect([status, defaults.ofStatus(status), defaults.knowsStatus(status)]).toEqual([status, 'soft', false])
    }
  })
})

test('the names of the statuses have the numbers of SMPP 3.4', () => {
  // an operator may use a name in an error map, and a wrong number would map another status
  expect(commandStatus).toEqual({
    ESME_ROK: 0,
    ESME_RINVMSGLEN: 1,
    ESME_RINVCMDLEN: 2,
    ESME_RINVCMDID: 3,
    ESME_RINVBNDSTS: 4,
    ESME_RALYBND: 5,
    ESME_RINVPRTFLG: 6,
    ESME_RINVREGDLVFLG: 7,
    ESME_RSYSERR: 8,
    ESME_RINVSRCADR: 10,
    ESME_RINVDSTADR: 11,
    ESME_RINVMSGID: 12,
    ESME_RBINDFAIL: 13,
    ESME_RINVPASWD: 14,
    ESME_RINVSYSID: 15,
    ESME_RCANCELFAIL: 17,
    ESME_RREPLACEFAIL: 19,
    ESME_RMSGQFUL: 20,
    ESME_RINVSERTYP: 21,
    ESME_RINVNUMDESTS: 51,
    ESME_RINVDLNAME: 52,
    ESME_RINVDESTFLAG: 64,
    ESME_RINVSUBREP: 66,
    ESME_RINVESMCLASS: 67,
    ESME_RCNTSUBDL: 68,
    ESME_RSUBMITFAIL: 69,
    ESME_RINVSRCTON: 72,
    ESME_RINVSRCNPI: 73,
    ESME_RINVDSTTON: 80,
    ESME_RINVDSTNPI: 81,
    ESME_RINVSYSTYP: 83,
    ESME_RINVREPFLAG: 84,
    ESME_RINVNUMMSGS: 85,
    ESME_RTHROTTLED: 88,
    ESME_RINVSCHED: 97,
    ESME_RINVEXPIRY: 98,
    ESME_RINVDFTMSGID: 99,
    ESME_RX_T_APPN: 100,
    ESME_RX_P_APPN: 101,
    ESME_RX_R_APPN: 102,
    ESME_RQUERYFAIL: 103,
    ESME_RINVOPTPARSTREAM: 192,
    ESME_ROPTPARNOTALLWD: 193,
    ESME_RINVPARLEN: 194,
    ESME_RMISSINGOPTPARAM: 195,
    ESME_RINVOPTPARAMVAL: 196,
    ESME_RDELIVERYFAILURE: 254,
    ESME_RUNKNOWNERR: 255,
  })
})
