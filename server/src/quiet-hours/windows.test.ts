import { describe, expect, test } from 'vitest'
import { locationOf } from './locations.ts'
import { findWindow, type Hours, type WeekHours, type WindowRules } from './windows.ts'

const hours = (from: string, to: string): Hours => ({ from: minutes(from), to: minutes(to) })
const minutes = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))
const daily = (from: string, to: string): WeekHours => Array(7).fill(hours(from, to))

const law = new Map<string, WeekHours>([
  ['US', daily('08:00', '21:00')],
  ['FL', daily('08:00', '20:00')],
  ['TX', [...Array(6).fill(hours('09:00', '21:00')), hours('12:00', '21:00')]],
])
const rules: WindowRules = { quietHours: law, alsoWithin: [], localAt: null }

function windowOf(phone: number, at: string, given: Partial<WindowRules> = {}, zipCode?: string) {
  const window = findWindow({ phone, zipCode }, { ...rules, ...given }, new Date(at))
  return window && [window.opensAt, window.closesAt].map((each) => each?.toISOString().slice(0, 16).concat('Z') ?? null)
}

const phoenix = 6_025_550_100
const seattle = 2_065_550_100
const newYork = 2_125_550_100
const tollFree = 8_005_550_100

describe('a phone has the location', () => {
  test.each([
    [phoenix, undefined, 'AZ:Z'],
    [9_285_550_100, undefined, 'AZ:M AZ:Z'],
    [8_505_550_100, undefined, 'FL:C FL:E'],
    [8_125_550_100, undefined, 'IN:C IN:E'],
    [9_305_550_100, undefined, 'IN:C IN:E'],
    [4_235_550_100, undefined, 'TN:C TN:E'],
    [7_295_550_100, undefined, 'TN:C TN:E'],
    [2_085_550_100, undefined, 'ID:M ID:P'],
    [4_165_550_100, undefined, 'CAN:E'],
    [seattle, '98118', 'WA:P'],
    [seattle, '10001', 'NY:E'],
    [seattle, ' 10001-4356 ', 'NY:E'],
    [seattle, '86515', 'AZ:M AZ:Z'],
    [seattle, '96799', 'AS:S'],
    [seattle, '32456', 'FL:C FL:E'],
    [seattle, 'SW1A 1AA', 'WA:P'],
    [seattle, '00100', 'WA:P'],
    [seattle, '', 'WA:P'],
    [seattle, null, 'WA:P'],
    [tollFree, undefined, 'US:C US:E US:M US:P'],
    [tollFree, '98118', 'WA:P'],
    [2_005_550_100, undefined, 'US:C US:E US:M US:P'],
  ])('of its ZIP code or area code: %d, ZIP code %s, %s', (phone, zipCode, location) => {
    expect(locationOf({ phone, zipCode })).toBe(location)
  })
})

describe('a window', () => {
  test.each([
    ['open now', seattle, '2031-05-06T18:00Z', '2031-05-06T18:00Z', '2031-05-07T04:00Z'],
    ['at the opening time', seattle, '2031-05-06T15:00Z', '2031-05-06T15:00Z', '2031-05-07T04:00Z'],
    ['a minute before the opening time', seattle, '2031-05-06T14:59Z', '2031-05-06T15:00Z', '2031-05-07T04:00Z'],
    ['at the closing time', seattle, '2031-05-07T04:00Z', '2031-05-07T15:00Z', '2031-05-08T04:00Z'],
    ['Phoenix in summer', phoenix, '2031-07-01T10:00Z', '2031-07-01T15:00Z', '2031-07-02T04:00Z'],
    ['Phoenix in winter', phoenix, '2031-01-07T10:00Z', '2031-01-07T15:00Z', '2031-01-08T04:00Z'],
    [
      '928, which may be in the Navajo Nation, in summer',
      9_285_550_100,
      '2031-07-01T10:00Z',
      '2031-07-01T15:00Z',
      '2031-07-02T03:00Z',
    ],
    ['928 in winter', 9_285_550_100, '2031-01-07T10:00Z', '2031-01-07T15:00Z', '2031-01-08T04:00Z'],
    [
      'a state with its own hours in two zones',
      8_505_550_100,
      '2031-05-06T10:00Z',
      '2031-05-06T13:00Z',
      '2031-05-07T00:00Z',
    ],
    [
      'no evidence: all zones from coast to coast',
      tollFree,
      '2031-05-06T10:00Z',
      '2031-05-06T15:00Z',
      '2031-05-07T01:00Z',
    ],
    ['a weekday', 2_145_550_100, '2031-05-06T10:00Z', '2031-05-06T14:00Z', '2031-05-07T02:00Z'],
    ['a Sunday', 2_145_550_100, '2031-05-04T10:00Z', '2031-05-04T17:00Z', '2031-05-05T02:00Z'],
    ['the day clocks go forward', newYork, '2031-03-09T05:30Z', '2031-03-09T12:00Z', '2031-03-10T01:00Z'],
    ['the day clocks go back', newYork, '2031-11-02T05:30Z', '2031-11-02T13:00Z', '2031-11-03T02:00Z'],
  ])('observes quiet hours: %s', (_name, phone, at, opens, closes) => {
    expect(windowOf(phone, at)).toEqual([opens, closes])
  })

  test('is shorter on a day with skipped or repeated hours', () => {
    const early = { quietHours: new Map([['US', daily('02:30', '21:00')]]) }
    expect(windowOf(newYork, '2031-03-09T05:30Z', early)).toEqual(['2031-03-09T07:30Z', '2031-03-10T01:00Z'])
    const night = { quietHours: new Map([['US', daily('00:00', '01:30')]]) }
    expect(windowOf(newYork, '2031-11-02T04:30Z', night)).toEqual(['2031-11-02T04:30Z', '2031-11-02T05:30Z'])
    expect(windowOf(newYork, '2031-11-02T06:15Z', night)).toEqual(['2031-11-03T05:00Z', '2031-11-03T06:30Z'])
  })

  test('is only narrowed by the hours of the list and of the message', () => {
    const narrow = { alsoWithin: [hours('10:00', '23:00'), hours('06:00', '18:00')] }
    expect(windowOf(seattle, '2031-05-06T10:00Z', narrow)).toEqual(['2031-05-06T17:00Z', '2031-05-07T01:00Z'])
    expect(windowOf(seattle, '2031-05-06T10:00Z', { ...narrow, quietHours: null })).toEqual([
      '2031-05-06T17:00Z',
      '2031-05-07T01:00Z',
    ])
  })

  test('does not exist if hours do not overlap', () => {
    expect(windowOf(seattle, '2031-05-06T10:00Z', { alsoWithin: [hours('21:00', '23:00')] })).toBeUndefined()
  })

  test('skips a day without hours, and includes adjacent days', () => {
    const week: WeekHours = [null, ...Array(6).fill({ from: 0, to: 1_440 })]
    const given = { quietHours: new Map([['US', week]]) }
    expect(windowOf(seattle, '2031-05-05T12:00Z', given)).toEqual(['2031-05-06T07:00Z', '2031-05-12T07:00Z'])
  })

  test('is computed again after it has closed, and for an earlier time', () => {
    const opensAt = (at: string) => findWindow({ phone: seattle }, rules, new Date(at))?.opensAt.toISOString()
    expect(opensAt('2031-05-06T18:00:00Z')).toBe('2031-05-06T18:00:00.000Z')
    expect(opensAt('2031-05-06T19:00:00Z')).toBe('2031-05-06T19:00:00.000Z')
    expect(opensAt('2031-05-07T04:00:00Z')).toBe('2031-05-07T15:00:00.000Z')
    expect(opensAt('2031-05-06T10:00:00Z')).toBe('2031-05-06T15:00:00.000Z')
  })
})

describe('a window of a local time', () => {
  const local = { quietHours: null, localAt: '2031-05-06T09:00:00' }
  test.each([
    ['New York', newYork, '2031-05-06T13:00Z'],
    ['Seattle', seattle, '2031-05-06T16:00Z'],
    ['Phoenix', phoenix, '2031-05-06T16:00Z'],
    ['both zones of an area code', 8_505_550_100, '2031-05-06T14:00Z'],
    ['Guam, on the next day', 6_715_550_100, '2031-05-06T23:00Z'],
  ])('opens at that time in %s', (_name, phone, opens) => {
    expect(windowOf(phone, '2031-05-06T13:00Z', local)).toEqual([opens, null])
  })

  test('is open now if the time has passed', () => {
    expect(windowOf(newYork, '2031-05-06T15:30Z', local)).toEqual(['2031-05-06T15:30Z', null])
  })

  test('opens with the next hours if the time is outside the hours', () => {
    const late = { localAt: '2031-05-06T22:00:00' }
    expect(windowOf(newYork, '2031-05-06T12:00Z', late)).toEqual(['2031-05-07T12:00Z', '2031-05-08T01:00Z'])
  })

  test('opens an hour later if the clocks skip the time', () => {
    const skipped = { quietHours: null, localAt: '2031-03-09T02:30:00' }
    expect(windowOf(newYork, '2031-03-09T00:00Z', skipped)).toEqual(['2031-03-09T07:30Z', null])
  })
})
