import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageQuery } from '../http/pagination.ts'
import { Id, TextOrNull, TimeOrNull } from '../http/schema.ts'
import { formatTime } from '../http/times.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { MessageView } from './messages.queries.ts'

const notHere = 'is not taken here: this sends to the whole list'

export const MessageCreateBody = Type.Object({
  message: Type.Object({
    content: Type.String({ maxLength: 160, pattern: '\\S', description: 'At most 160 characters.' }),
    name: Type.Optional(TextOrNull({ maxLength: 255, description: 'For your own use.' })),
  }),
})

/** Once upon a time these chose the recipients. Who still sends them must not text everybody. */
export function refuseRecipients(message: object) {
  const details = Object.keys(message)
    .filter((key) => key === 'phone_number' || key === 'phone_numbers')
    .map((key) => [`message.${key}`, [notHere]])
  if (details.length > 0) throw errors.invalid(Object.fromEntries(details))
}

export const MessageCreatedAnswer = Type.Object({
  status: Type.Literal('OK'),
  message: Type.Object({ id: Id('Id of the message.') }),
})

const Day = Type.Optional(
  Type.Unsafe<string | number | null>({ type: ['string', 'integer', 'null'], description: 'YYYYMMDD.' }),
)

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
    sent_at: TimeOrNull,
    status: Type.String({ examples: ['sending', 'sent'] }),
    name: TextOrNull(),
    is_broadcast: Type.Boolean(),
    phone_number: Type.Optional(Type.String()),
    recipient_count: Type.Integer({ description: 'success_count + bounces_count + pending_count.' }),
    success_count: Type.Integer({ description: 'The handset has it.' }),
    bounces_count: Type.Integer(),
    pending_count: Type.Integer({ description: 'No final status yet.' }),
    clean_count: Type.Integer({ description: 'Numbers removed because of this message.' }),
    unsubscribe_count: Type.Integer({ description: 'Numbers that opted out in answer to it.' }),
    sms_count: Type.Integer(),
    mms_count: Type.Integer(),
    rcs_count: Type.Integer(),
    send_cost: Type.Number(),
    attachment: TextOrNull(),
    cancelled_at: TimeOrNull,
    parts: Type.Optional(
      Type.Object(
        { sum: Type.Integer(), minimum: Type.Integer(), maximum: Type.Integer() },
        { description: 'From 30 minutes after the send.' },
      ),
    ),
  },
  { title: 'Message' },
)

export const MessageAnswer = Type.Object({ status: Type.Literal('OK'), message: MessageSchema })

const partsAfterMs = 30 * 60_000

/** A message on the wire. A text whose answer was lost is pending until the message is closed, and a bounce from then on. */
export function presentMessage(message: MessageView, timeZone: string, now: Date): Static<typeof MessageSchema> {
  const { counters } = message
  const isClosed = message.closedAt !== null
  const success = counters.delivered
  const bounces = counters.bounced + counters.expired + (isClosed ? counters.unknown : 0)
  const pending = counters.queued + counters.submitting + counters.sent + (isClosed ? 0 : counters.unknown)
  const recipients = success + bounces + pending
  const hasParts = message.sentAt !== null && now.getTime() - message.sentAt.getTime() >= partsAfterMs
  const { partCount } = message
  return {
    id: message.id,
    content: message.content,
    sent_at: formatTime(message.sentAt, timeZone),
    status: message.status,
    name: message.name,
    is_broadcast: message.phone === null && message.status !== 'draft' && message.status !== 'scheduled',
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
    send_cost: 0,
    attachment: null,
    cancelled_at: formatTime(message.cancelledAt, timeZone),
    ...(hasParts ? { parts: { sum: partCount * recipients, minimum: partCount, maximum: partCount } } : {}),
  }
}
