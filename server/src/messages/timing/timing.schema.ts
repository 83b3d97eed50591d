import { type Static, Type } from 'typebox'
import { errors } from '../../errors.ts'
import { TextOrNull, timeFault } from '../../http/schema.ts'
import { parseInstant } from '../../lib/dates.ts'
import { HoursOrNull, readHours } from '../../quiet-hours/hours.schema.ts'
import type { Timing } from './timing.queries.ts'

const extension = { 'x-extension': true }

/** The planned time of a new message. */
export const SendAt = Type.Optional(
  Type.Unsafe<string | null>({
    ...TextOrNull({ maxLength: 40, description: 'When to send it: ISO 8601 with an offset, in the future.' }),
    ...extension,
  }),
)

/** The deadline of a message: none of its texts is sent from then on. */
export const DeliverBy = Type.Optional(
  Type.Unsafe<string | null>({
    ...TextOrNull({
      maxLength: 40,
      description: 'The deadline, from which on no text is sent: ISO 8601 with an offset.',
    }),
    ...extension,
  }),
)

/** The keys of a body that restrict when the texts of a message are sent. */
export const timingKeys = {
  local_time: Type.Optional(
    Type.Boolean({
      description:
        "Sends to each recipient when the local time at their location equals the account's local time at `send_at`. " +
        'The ZIP code, or else the area code, determines the location and all time zones in which it may be. The ' +
        'message starts when the first time zone reaches that time, with the subscribers at that moment as its ' +
        'audience, and can be changed until then.',
      ...extension,
    }),
  ),
  deliver_by: DeliverBy,
  quiet_hours: Type.Optional(
    Type.Boolean({ description: 'Applies quiet hours even if the list and the account do not.', ...extension }),
  ),
  send_hours: Type.Optional(
    HoursOrNull(
      'Sends only in these hours at the location of the phone, and within the hours of the list and the quiet hours.',
    ),
  ),
}

const TimingKeys = Type.Object(timingKeys)

/**
 * Returns the planned time in a body: null for none, undefined if the body has no such key; throws if it is malformed.
 */
export function readSendAt(given: string | null | undefined): Date | null | undefined {
  return readTime(given, 'message.send_at')
}

/** The last year of a message's times: a later one is a slip, such as milliseconds read as seconds. */
const lastYear = 2100

/** The error of a message's time that is too late. */
export const lateFault = `must not be later than the year ${lastYear}`

/** Returns whether a message's time is too late to be meant. */
export const isTooLate = (instant: Date) => instant.getUTCFullYear() > lastYear

/** Returns a time in a body, as `readSendAt` does; `field` is its name in the error. */
export function readTime(given: string | null | undefined, field: string): Date | null | undefined {
  if (given === undefined || given === null) return given
  const read = parseInstant(given)
  if (!read) throw errors.invalid({ [field]: [timeFault] })
  if (isTooLate(read.instant)) throw errors.invalid({ [field]: [lateFault] })
  return read.instant
}

/** Returns the timing in a body, without the keys that the body lacks; throws if a value is malformed. */
export function readTiming(given: Partial<Static<typeof TimingKeys>>): Partial<Timing> {
  const timing = {
    localTime: given.local_time,
    deliverBy: readTime(given.deliver_by, 'message.deliver_by'),
    quietHours: given.quiet_hours,
    sendHours: readHours(given.send_hours, 'message.send_hours'),
  }
  return Object.fromEntries(Object.entries(timing).filter(([, value]) => value !== undefined))
}
