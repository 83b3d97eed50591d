import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageQuery, pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { accepted, Count, Dollars, Id, TextOrNull, TimeOrNull, Whole } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { HoursObject, presentHours } from '../quiet-hours/hours.schema.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { AudienceSchema } from './audience/audience.schema.ts'
import { linkKeys, presentLinks } from './message-links.schema.ts'
import type { MessageView } from './messages.queries.ts'

const extension = { 'x-extension': true }

export const MessageCreatedResponse = Type.Object({
  status: Type.Literal('OK'),
  message: Type.Object({ id: Id('Id of the message.') }),
})

const Day = Type.Optional(
  accepted<string | number | null>({
    type: ['string', 'integer', 'null'],
    documented: 'string',
    description: 'A date: YYYYMMDD.',
  }),
)

/** The id of a message of a list in a path. */
export const MessageIdParam = idParam('Id of the message.', errors.messageNotFound)

/** The id of a transactional message in a path. */
export const TransactionalMessageIdParam = idParam('Id of the message.', errors.messageNotFound)

export const MessagesQuery = Type.Object({ ...pageQuery, start_date: Day, end_date: Day })

/**
 * Returns the dates of a query as instants in UTC: the start of the first day, and the start of the day after the last.
 * Throws if one is not a date.
 */
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
  if (!isDay) throw errors.invalid({ [field]: ['is not a date (YYYYMMDD)'] })
  return instant
}

export const MessageSchema = Type.Object(
  {
    id: Id('Id of the message.'),
    content: Type.String(),
    sent_at: Type.String({
      format: 'date-time',
      description:
        'When the send ended; of a draft its creation, of a scheduled message its planned time, while it is being sent ' +
        'its start, of a cancelled message its cancellation.',
    }),
    status: Type.String({ examples: ['draft', 'scheduled', 'sending', 'sent', 'cancelled'] }),
    name: Type.String({ description: 'Empty for a message without a name.' }),
    is_broadcast: Type.Boolean({ description: 'Whether the message goes to the whole list and has started.' }),
    phone_number: Type.Optional(Type.String({ description: 'The recipient, if there is exactly one.' })),
    recipient_count: Count('success_count + bounces_count + pending_count.'),
    success_count: Count('Texts that were delivered to the phone.'),
    bounces_count: Count('Texts that were not delivered.'),
    pending_count: Count('Texts without a final status.'),
    clean_count: Count('Numbers removed from the list because a text of this message bounced hard.'),
    unsubscribe_count: Count('Numbers that opted out in reply to it, each counted once.'),
    suppressed_count: Type.Integer({
      ...Count('Members of the audience who were not sent a text, for example because they had opted out.'),
      ...extension,
    }),
    suppressed_reasons: Type.Optional(
      Type.Record(Type.String(), Count(), {
        description: '`suppressed_count` by reason, such as opted_out or too_late; shown soon after the send.',
        ...extension,
      }),
    ),
    sms_count: Count(),
    mms_count: Count(),
    rcs_count: Count(),
    send_cost: Dollars('US dollars, by the rates of the day it was accepted; 0 until it is computed.'),
    attachment: TextOrNull(),
    cancelled_at: TimeOrNull,
    created_at: Type.String({ format: 'date-time', ...extension }),
    send_at: Type.Optional(Type.String({ format: 'date-time', description: 'The planned time.', ...extension })),
    cancel_reason: Type.Optional(
      Type.String({
        description:
          'Why Carillon cancelled it: too_late, list_deleted, or content (a custom field of a merge tag no longer exists).',
        ...extension,
      }),
    ),
    set_aside: Type.Optional(
      Type.Array(
        Type.Object(
          {
            work: Type.String({
              description:
                'start, expand (writing the audience), cancel, reopen (the next sending window), suppress (recipients that ' +
                'are too late), finish, bill or close.',
            }),
            since: Type.String({ format: 'date-time', description: 'When it failed first.' }),
            attempts: Count('Failures in succession.'),
            error: Type.String({ description: 'The kind of the latest error.' }),
            retry_at: Type.String({ format: 'date-time', description: 'When it is retried.' }),
          },
          { title: 'SetAsideWork' },
        ),
        {
          description:
            'The work on the message that keeps failing and is retried every hour; its other work continues.',
          ...extension,
        },
      ),
    ),
    paused_at: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When it was paused; no text of it is sent until it is resumed.',
        ...extension,
      }),
    ),
    queued_count: Type.Optional(
      Type.Integer({
        ...Count('Of a paused message: the recipients who are texted when it is resumed.'),
        ...extension,
      }),
    ),
    local_time: Type.Optional(
      Type.Literal(true, {
        description: 'Each recipient is texted at the planned time by the clock at their location.',
        ...extension,
      }),
    ),
    deliver_by: Type.Optional(
      Type.String({ format: 'date-time', description: 'No text is sent from then on.', ...extension }),
    ),
    quiet_hours: Type.Optional(
      Type.Literal(true, {
        description: 'Quiet hours apply even if the list and the account have none.',
        ...extension,
      }),
    ),
    send_hours: Type.Optional(
      HoursObject('The hours of the day, at the location of the phone, in which texts are sent.'),
    ),
    max_parts: Type.Optional(Type.Integer({ ...Whole(1, 10), ...extension })),
    ...linkKeys,
    audience: Type.Optional(Type.Unsafe<Static<typeof AudienceSchema>>({ ...AudienceSchema, ...extension })),
    parts: Type.Optional(
      Type.Object(
        { sum: Count(), minimum: Count(), maximum: Count() },
        { description: 'Parts that were sent; shown from 30 minutes after the send.' },
      ),
    ),
  },
  { title: 'Message' },
)

export const MessagePage = pageSchema('messages', MessageSchema)

/** The schema of a response with a message and a sentence that names the change. */
export function messageResponse<Sentence extends string>(sentence: Sentence) {
  return Type.Object({ status: Type.Literal(sentence), message: MessageSchema })
}

export const MessageResponse = Type.Object({ status: Type.Literal('OK'), message: MessageSchema })

/** Returns the parts by the bill; for a message accepted before bills existed, by its content. */
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

function presentSetAside(failures: MessageView['setAside'], timeZone: string) {
  if (failures === null) return {}
  const set_aside = failures.map(({ work, since, attempts, error, retryAt }) => ({
    work,
    since: formatTime(new Date(since), timeZone),
    attempts,
    error,
    retry_at: formatTime(new Date(retryAt), timeZone),
  }))
  return { set_aside }
}

/** Returns the time that `sent_at` shows: it is never null, because the contract has a string. */
function sentAtOf(message: MessageView): Date {
  const { status, createdAt } = message
  if (status === 'draft') return createdAt
  if (status === 'scheduled') return message.sendAt ?? createdAt
  if (status === 'cancelled') return message.cancelledAt ?? createdAt
  return message.sentAt ?? message.acceptedAt ?? createdAt
}

const partsAfterMs = 30 * 60_000

/** Presents a message. An `unknown` text is pending until the message is closed, and a bounce from then on. */
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
    sent_at: formatTime(sentAtOf(message), timeZone),
    status: message.status,
    name: message.name ?? '',
    is_broadcast: message.kind === 'broadcast' && message.acceptedAt !== null,
    ...(message.phone === null ? {} : { phone_number: formatPhoneNumber(message.phone) }),
    recipient_count: recipients,
    success_count: success,
    bounces_count: bounces,
    pending_count: pending,
    clean_count: counters.cleaned,
    unsubscribe_count: counters.unsubscribed,
    suppressed_count: counters.suppressed,
    ...(counters.suppressed > 0 && message.bill ? { suppressed_reasons: message.bill.suppressions } : {}),
    sms_count: success,
    mms_count: 0,
    rcs_count: 0,
    send_cost: message.bill?.cost ?? 0,
    attachment: null,
    cancelled_at: formatTime(message.cancelledAt, timeZone),
    created_at: formatTime(message.createdAt, timeZone),
    ...(message.sendAt === null ? {} : { send_at: formatTime(message.sendAt, timeZone) }),
    ...(message.cancelReason === null ? {} : { cancel_reason: message.cancelReason }),
    ...presentSetAside(message.setAside, timeZone),
    ...(message.pausedAt === null
      ? {}
      : { paused_at: formatTime(message.pausedAt, timeZone), queued_count: counters.queued }),
    ...presentTiming(message.timing, timeZone),
    ...(message.maxParts === null ? {} : { max_parts: message.maxParts }),
    ...presentLinks(message),
    ...(message.audience === null ? {} : { audience: message.audience }),
    ...(hasParts ? { parts: partsOf(message, recipients) } : {}),
  }
}
