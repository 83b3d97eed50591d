import { expect, test } from 'vitest'
import { formatTime } from './format-time.ts'

const zones = Intl.supportedValuesOf('timeZone')
const expected = (ms: number, timeZone: string) =>
  Temporal.Instant.fromEpochMilliseconds(ms).toString({ timeZone, smallestUnit: 'second' })

test.each([
  ['2026-03-08T09:59:59.999Z', 'America/Los_Angeles', '2026-03-08T01:59:59-08:00'],
  ['2026-03-08T10:00:00.000Z', 'America/Los_Angeles', '2026-03-08T03:00:00-07:00'],
  ['2026-11-01T08:59:59.999Z', 'America/Los_Angeles', '2026-11-01T01:59:59-07:00'],
  ['2026-11-01T09:00:00.000Z', 'America/Los_Angeles', '2026-11-01T01:00:00-08:00'],
  ['2026-06-01T00:00:00.000Z', 'Asia/Kathmandu', '2026-06-01T05:45:00+05:45'],
  ['2026-06-01T00:00:00.000Z', 'UTC', '2026-06-01T00:00:00+00:00'],
  // this zone changed its offset at one minute past midnight
  ['2011-03-13T03:30:59.000Z', 'America/St_Johns', '2011-03-13T00:00:59-03:30'],
  ['2011-03-13T03:31:00.000Z', 'America/St_Johns', '2011-03-13T01:01:00-02:30'],
  ['1972-01-01T00:00:00.000Z', 'Africa/Monrovia', '1971-12-31T23:15:30-00:45'],
])('formats %s in %s', (instant, timeZone, text) => {
  expect(formatTime(new Date(instant), timeZone)).toBe(text)
})

test.each(['1979-12-31T23:00:00Z', '2021-01-01T00:00:00Z'])(
  'equals Temporal before and after the changes of offset since %s, in all zones',
  (since) => {
    for (const zone of zones) {
      let at: Temporal.ZonedDateTime | null = Temporal.Instant.from(since).toZonedDateTimeISO(zone)
      for (let n = 0; at && n < 6; n++) {
        const ms = at.epochMilliseconds
        for (const each of [ms - 1, ms, ms + 1, ms - 59_999, ms + 59_999, ms + 7_200_000]) {
          expect(`${zone} ${formatTime(new Date(each), zone)}`).toBe(`${zone} ${expected(each, zone)}`)
        }
        at = at.getTimeZoneTransition('next')
      }
    }
  },
)

test.each([-62_135_596_800_001, -1, 0, 253_370_764_799_999, 253_402_300_800_000])('equals Temporal at %d', (ms) => {
  expect(formatTime(new Date(ms), 'America/New_York')).toBe(expected(ms, 'America/New_York'))
})
