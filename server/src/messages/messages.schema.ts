import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageQuery, pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Id, TextOrNull, TimeOrNull } from '../http/schema.ts'
import { formatTime } from '../http/times.ts'
import { parseInstant } from '../lib/dates.ts'
import { HoursObject, HoursOrNull, presentHours, readHours } from '../quiet-hours/hours.schema.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { FieldTest } from './audience/audience.ts'
import { maxPhones, readPhones } from './audience/recipients.ts'
import type { MessageView } from './messages.queries.ts'
import type { Timing } from './timing/timing.queries.ts'

const extension = { 'x-extension': true }

const Content = Type.String({
  pattern: '\\S',
  description:
    'At most 160 characters, or `max_parts` parts. Merge tags: `{first_name}`, `{first_name|neighbor}`, `{team}`.',
})
const Name = Type.Optional(TextOrNull({ maxLength: 255, description: 'For your own use.' }))
const MaxParts = Type.Optional(
  Type.Unsafe<number | null>({
    type: ['integer', 'null'],
    minimum: 1,
    maximum: 10,
    description: 'Lets the text be as long as fits into so many parts, each of them sent and billed as one.',
    ...extension,
  }),
)
const SendAt = Type.Optional(
  Type.Unsafe<string | null>({
    ...TextOrNull({ maxLength: 40, description: 'When to send it: ISO 8601 with an offset, in the future.' }),
    ...extension,
  }),
)

const timing = {
  local_time: Type.Optional(
    Type.Boolean({
      description:
        "Each recipient when it is the time of `send_at`, by the account's clock, where he is: by his zip code, else by " +
        'the area code, in every zone that these allow. Can be taken back until it starts, which is when it is that ' +
        'time in the first zone; who is subscribed then is its audience.',
      ...extension,
    }),
  ),
  deliver_by: Type.Optional(
    Type.Unsafe<string | null>({
      ...TextOrNull({ maxLength: 40, description: 'Nobody is texted from then on: ISO 8601 with an offset.' }),
      ...extension,
    }),
  ),
  quiet_hours: Type.Optional(
    Type.Boolean({ description: 'Keeps to quiet hours even if list and account do not.', ...extension }),
  ),
  send_hours: Type.Optional(
    HoursOrNull('Only in these hours where the handset is, and in those of the list and in quiet hours.'),
  ),
}

const Tags = (description: string) =>
  Type.Optional(Type.Array(Type.String({ pattern: '\\S', maxLength: 255 }), { maxItems: 100, description }))

const AudienceSchema = Type.Object(
  {
    tags_any: Tags('Has one of these tags.'),
    tags_all: Tags('Has all of these tags.'),
    tags_none: Tags('Has none of these tags.'),
    custom_fields: Type.Optional(
      Type.Array(
        Type.Object(
          {
            key: Type.String({ maxLength: 255 }),
            op: Type.Unsafe<FieldTest['op']>({ type: 'string', enum: ['eq', 'ne', 'gt', 'lt', 'contains', 'exists'] }),
            value: Type.Optional(
              Type.Unsafe<string | number | boolean | null>({
                type: ['string', 'number', 'boolean', 'null'],
                maxLength: 9_999,
                description: 'What to compare with; for `exists`, false means that there is none.',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        { maxItems: 20, description: 'Values as they are stored; a default is not one.' },
      ),
    ),
  },
  {
    additionalProperties: false,
    description: 'Only those of the list who pass all tests when the text goes out. Unknown keys are refused.',
  },
)

const AudienceOrNull = Type.Optional(
  Type.Unsafe<Static<typeof AudienceSchema> | null>({ ...AudienceSchema, type: ['object', 'null'], ...extension }),
)

const PhoneText = Type.Unsafe<string | number>({ type: ['string', 'integer'], maxLength: 40 })

export const MessageCreateBody = Type.Object({
  message: Type.Object({
    content: Content,
    name: Name,
    phone_number: Type.Optional(
      Type.Unsafe<string | number>({ ...PhoneText, description: 'Sends to this number instead of to the list.' }),
    ),
    phone_numbers: Type.Optional(
      Type.Array(PhoneText, { maxItems: maxPhones, description: 'Sends to these numbers instead of to the list.' }),
    ),
    max_parts: MaxParts,
    audience: AudienceOrNull,
    draft: Type.Optional(
      Type.Boolean({ description: 'Keeps it, to be sent when somebody says so, instead of sending it.', ...extension }),
    ),
    send_at: SendAt,
    ...timing,
  }),
})

export type MessageCreate = Static<typeof MessageCreateBody>['message']

/** The numbers that a message names instead of going to its list; undefined when it names none. */
export function readRecipients(message: MessageCreate): number[] | undefined {
  const { phone_number, phone_numbers } = message
  if (phone_number === undefined && phone_numbers === undefined) return undefined
  const forLists = ['audience', 'draft', 'send_at', 'local_time', 'quiet_hours', 'send_hours'] as const
  const misplaced = forLists.filter((key) => message[key])
  if (misplaced.length > 0) {
    const details = misplaced.map((key) => [`message.${key}`, ['is for a message to the list, not to given numbers']])
    throw errors.invalid(Object.fromEntries(details))
  }
  const ones = phone_number === undefined ? [] : readPhones([phone_number], 'message.phone_number')
  const others = phone_numbers === undefined ? [] : readPhones(phone_numbers, 'message.phone_numbers')
  return [...new Set([...ones, ...others])]
}

export const MessageUpdateBody = Type.Object({
  message: Type.Object(
    {
      content: Type.Optional(Content),
      name: Name,
      max_parts: MaxParts,
      audience: AudienceOrNull,
      send_at: Type.Optional(
        TextOrNull({ maxLength: 40, description: 'A new time; null makes a draft of a scheduled message.' }),
      ),
      ...timing,
    },
    { description: 'Only the keys present change.' },
  ),
})

/** The planned time of a body: an instant, null for none, undefined when it does not say. */
export function readSendAt(given: string | null | undefined): Date | null | undefined {
  return readTime(given, 'message.send_at')
}

export function readTime(given: string | null | undefined, field: string): Date | null | undefined {
  if (given === undefined || given === null) return given
  const read = parseInstant(given)
  if (read) return read.instant
  throw errors.invalid({ [field]: ['must be a time with an offset, as 2031-05-06T09:00:00-07:00'] })
}

/** What a body says of its timing; undefined where it does not say. */
export function readTiming(
  given: Pick<MessageCreate, 'local_time' | 'deliver_by' | 'quiet_hours' | 'send_hours'>,
): Partial<Timing> {
  const named = {
    localTime: given.local_time,
    deliverBy: readTime(given.deliver_by, 'message.deliver_by'),
    quietHours: given.quiet_hours,
    sendHours: readHours(given.send_hours, 'message.send_hours'),
  }
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined))
}

export const TestBody = Type.Object({
  phone_numbers: Type.Array(PhoneText, { minItems: 1, maxItems: 20, description: 'Who gets the test.' }),
})

export const MessageCreatedResponse = Type.Object({
  status: Type.Literal('OK'),
  message: Type.Object({ id: Id('Id of the message.') }),
})

const Day = Type.Optional(
  Type.Unsafe<string | number | null>({ type: ['string', 'integer', 'null'], description: 'YYYYMMDD.' }),
)

/** The id of a message of a list in a path. */
export const MessageIdParam = idParam('Id of the message.', errors.messageNotFound)

/** The id of a transactional message in a path. */
export const TransactionalMessageIdParam = idParam('Id of the message.', errors.messageNotFound)

export const MessagesQuery = Type.Object({ ...pageQuery, start_date: Day, end_date: Day })

/** The days of a query as instants; the end is the first one after the last day. UTC, and both days count. */
export function readDays({ start_date, end_date }: Static<typeof MessagesQuery>) {
  const from = readDay('start_date', start_date)
  const last = readDay('end_date', end_date)
  return { from, to: last === null ? null : new Date(last.getTime() + 86_400_000) }
}

function readDay(field: string, given: string | number | null | undefined): Date | null {
  if (given === undefined || given === null || given === '') return null
  const [, year, month, day] = /^([0-9]{4})([0-9]{2})([0-9]{2})$/.exec(String(given)) ?? []
  const instant = new Date(`${year}-${month}-${day}T00:00:00Z`)
  const isDay = !Number.isNaN(instant.getTime()) && instant.toISOString().startsWith(`${year}-${month}-${day}`)
  if (!isDay) throw errors.invalid({ [field]: ['must be a day as YYYYMMDD'] })
  return instant
}

export const MessageSchema = Type.Object(
  {
    id: Type.Integer(),
    content: Type.String(),
    sent_at: Type.Unsafe<string | null>({
      ...TimeOrNull,
      description: 'The end of the send; the planned time of a scheduled one.',
    }),
    status: Type.String({ examples: ['draft', 'scheduled', 'sending', 'sent', 'cancelled'] }),
    name: TextOrNull(),
    is_broadcast: Type.Boolean({ description: 'It goes to the list, and is on its way or was.' }),
    phone_number: Type.Optional(Type.String({ description: 'The one recipient, where there is one.' })),
    recipient_count: Type.Integer({ description: 'success_count + bounces_count + pending_count.' }),
    success_count: Type.Integer({ description: 'The handset has it.' }),
    bounces_count: Type.Integer(),
    pending_count: Type.Integer({ description: 'No final status yet.' }),
    clean_count: Type.Integer({ description: 'Numbers removed because of this message.' }),
    unsubscribe_count: Type.Integer({ description: 'Numbers that opted out in answer to it.' }),
    sms_count: Type.Integer(),
    mms_count: Type.Integer(),
    rcs_count: Type.Integer(),
    send_cost: Type.Number({
      description: 'US dollars, by the rates of the day it was accepted; 0 until it is reckoned.',
    }),
    attachment: TextOrNull(),
    cancelled_at: TimeOrNull,
    created_at: Type.String({ format: 'date-time', ...extension }),
    send_at: Type.Optional(
      Type.String({ format: 'date-time', description: 'When it was, or is, scheduled for.', ...extension }),
    ),
    cancel_reason: Type.Optional(
      Type.String({
        description: 'Why we cancelled it ourselves: too_late, list_deleted, content (a merge tag of it is gone).',
        ...extension,
      }),
    ),
    paused_at: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'Since when it is paused: nothing of it leaves until it is resumed.',
        ...extension,
      }),
    ),
    queued_count: Type.Optional(
      Type.Integer({ description: 'Of a paused message, who is left to be texted when it is resumed.', ...extension }),
    ),
    local_time: Type.Optional(
      Type.Literal(true, { description: 'Each recipient at the planned time of his own zone.', ...extension }),
    ),
    deliver_by: Type.Optional(
      Type.String({ format: 'date-time', description: 'Nobody is texted from then on.', ...extension }),
    ),
    quiet_hours: Type.Optional(
      Type.Literal(true, { description: 'It keeps to quiet hours even if list and account do not.', ...extension }),
    ),
    send_hours: Type.Optional(HoursObject('Only in these hours where the handset is.')),
    max_parts: Type.Optional(Type.Integer(extension)),
    audience: Type.Optional(Type.Unsafe<Static<typeof AudienceSchema>>({ ...AudienceSchema, ...extension })),
    parts: Type.Optional(
      Type.Object(
        { sum: Type.Integer(), minimum: Type.Integer(), maximum: Type.Integer() },
        { description: 'From 30 minutes after the send.' },
      ),
    ),
  },
  { title: 'Message' },
)

export const MessagePage = pageSchema('messages', MessageSchema)

/** A message with the sentence that says what was done to it. */
export function messageAnswer<Sentence extends string>(sentence: Sentence) {
  return Type.Object({ status: Type.Literal(sentence), message: MessageSchema })
}

export const MessageResponse = Type.Object({ status: Type.Literal('OK'), message: MessageSchema })

/** As reckoned; of a message from before there were bills, by its text. */
function partsOf({ bill, partCount }: MessageView, recipients: number) {
  if (bill) return { sum: bill.parts, minimum: bill.least, maximum: bill.most }
  return { sum: partCount * recipients, minimum: partCount, maximum: partCount }
}

function presentTiming(timing: MessageView['timing'], timeZone: string) {
  const { localTime, deliverBy, quietHours, sendHours } = timing
  return {
    ...(localTime && { local_time: true as const }),
    ...(deliverBy !== null && { deliver_by: formatTime(new Date(deliverBy), timeZone) }),
    ...(quietHours && { quiet_hours: true as const }),
    ...(sendHours !== null && { send_hours: presentHours(sendHours) }),
  }
}

const partsAfterMs = 30 * 60_000

/** A message on the wire. A text whose answer was lost is pending until the message is closed, and a bounce from then on. */
export function presentMessage(message: MessageView, timeZone: string, now: Date): Static<typeof MessageSchema> {
  const { counters } = message
  const isClosed = message.closedAt !== null
  const success = counters.delivered
  const bounces = counters.bounced + counters.expired + (isClosed ? counters.unknown : 0)
  const pending = counters.queued + counters.submitting + counters.sent + (isClosed ? 0 : counters.unknown)
  const recipients = success + bounces + pending
  const endedAt = message.sentAt ?? (recipients > 0 ? message.cancelledAt : null)
  const hasParts = endedAt !== null && now.getTime() - endedAt.getTime() >= partsAfterMs
  return {
    id: message.id,
    content: message.content,
    sent_at: formatTime(message.status === 'scheduled' ? message.sendAt : message.sentAt, timeZone),
    status: message.status,
    name: message.name,
    is_broadcast: message.kind === 'broadcast' && message.acceptedAt !== null,
    ...(message.phone === null ? {} : { phone_number: formatPhoneNumber(message.phone) }),
    recipient_count: recipients,
    success_count: success,
    bounces_count: bounces,
    pending_count: pending,
    clean_count: counters.cleaned,
    unsubscribe_count: counters.unsubscribed,
    sms_count: success,
    mms_count: 0,
    rcs_count: 0,
    send_cost: message.bill?.cost ?? 0,
    attachment: null,
    cancelled_at: formatTime(message.cancelledAt, timeZone),
    created_at: formatTime(message.createdAt, timeZone),
    ...(message.sendAt === null ? {} : { send_at: formatTime(message.sendAt, timeZone) }),
    ...(message.cancelReason === null ? {} : { cancel_reason: message.cancelReason }),
    ...(message.pausedAt === null
      ? {}
      : { paused_at: formatTime(message.pausedAt, timeZone), queued_count: counters.queued }),
    ...presentTiming(message.timing, timeZone),
    ...(message.maxParts === null ? {} : { max_parts: message.maxParts }),
    ...(message.audience === null ? {} : { audience: message.audience }),
    ...(hasParts ? { parts: partsOf(message, recipients) } : {}),
  }
}
