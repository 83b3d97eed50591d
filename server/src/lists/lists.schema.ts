import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Count, Id, TextOrNull, Whole } from '../http/schema.ts'
import { HoursOrNull, presentHours, readHours } from '../quiet-hours/hours.schema.ts'
import type { ListSettings, ListView } from './lists.queries.ts'
import type { ListChange } from './lists.ts'
import { OptInRequest, presentOptInRequest } from './opt-in-settings.schema.ts'

// ten parts in GSM-7: a limit to the cost of a mistake
const maxText = 1_530

const Name = Type.String({
  maxLength: 25,
  pattern: '\\S',
  description: 'Name for your own use; subscribers do not see it.',
})

const EmailNotice = Type.Unsafe<string | boolean | null>({
  type: ['string', 'boolean', 'null'],
  maxLength: 255,
  description: 'An address or a boolean; returned as it was given.',
})

const texts = {
  message_yes: Type.Optional(
    TextOrNull({ maxLength: maxText, description: 'Opt-in request, sent to a number that was added through the API.' }),
  ),
  message_help: Type.Optional(TextOrNull({ maxLength: maxText, description: 'Sent in reply to HELP.' })),
  message_stop: Type.Optional(TextOrNull({ maxLength: maxText, description: 'Sent in reply to STOP.' })),
  message_reply: Type.Optional(TextOrNull({ maxLength: maxText, description: 'Sent in reply to any other text.' })),
  message_already_subscribed: Type.Optional(
    TextOrNull({ maxLength: maxText, description: 'Sent to a subscribed number that opts in again.' }),
  ),
  first_optin_message: Type.Optional(
    TextOrNull({ maxLength: maxText, description: 'Sent to a number that subscribes for the first time.' }),
  ),
  second_optin_message: Type.Optional(
    TextOrNull({ maxLength: maxText, description: 'Sent to a number that subscribes again.' }),
  ),
  email_digest: Type.Optional(TextOrNull({ maxLength: 255, description: 'Address of the daily digest.' })),
  email_subscribe: Type.Optional(EmailNotice),
  email_unsubscribe: Type.Optional(EmailNotice),
}

const Hours = (maximum: number, description: string) =>
  Type.Integer({ ...Whole(0, maximum, description), 'x-extension': true })
const ResendBlock = Hours(48, 'Hours for which an unanswered opt-in request prevents a second one.')
const ResubscribeTimeout = Hours(720, 'Hours for which only the person can resubscribe a number that opted out.')
const ScheduledLateness = Type.Integer({
  minimum: 1,
  maximum: 10_080,
  description:
    'Minutes that a scheduled message may be late, for example after an outage; a message that is later is cancelled.',
  'x-extension': true,
})

const WhenUnknown = Type.Unsafe<'never_twice' | 'never_miss'>({
  type: 'string',
  enum: ['never_twice', 'never_miss'],
  description:
    'At the receipt deadline, texts without a response are closed (never_twice) or sent once more (never_miss).',
  'x-extension': true,
})

const QuietHours = Type.Boolean({
  description: 'Quiet hours apply to broadcasts of this list even if the account does not apply them.',
  'x-extension': true,
})

const RejectUnreadable = Type.Boolean({
  description:
    'Imports skip a row with an optional value that cannot be read; otherwise they leave out the value, with a warning.',
  'x-extension': true,
})

const ImportEvents = Type.Boolean({
  description: 'Imports report events to webhooks and the feed, one per person.',
  'x-extension': true,
})

const extensions = {
  short_code: Type.Optional(
    Type.String({
      maxLength: 20,
      description: "The short code to send from, one of the account's; by default its first one.",
      'x-extension': true,
    }),
  ),
  resend_block_hours: Type.Optional(ResendBlock),
  resubscribe_timeout_hours: Type.Optional(ResubscribeTimeout),
  scheduled_lateness_minutes: Type.Optional(ScheduledLateness),
  quiet_hours: Type.Optional(QuietHours),
  reject_unreadable_values: Type.Optional(RejectUnreadable),
  import_events: Type.Optional(ImportEvents),
  send_hours: Type.Optional(HoursOrNull('Broadcasts are sent only in these hours at the location of the phone.')),
  when_unknown: Type.Optional(WhenUnknown),
}

export const ListCreateBody = Type.Object({
  list: Type.Object(
    {
      name: Name,
      ...texts,
      ...extensions,
      keyword_names: Type.Optional(
        Type.Unsafe<string[] | null>({
          type: ['array', 'null'],
          items: { type: 'string', maxLength: 100 },
          maxItems: 100,
          description: 'Words of 2 to 15 characters that opt a number in; unique on the short code.',
        }),
      ),
    },
    { title: 'ListCreation' },
  ),
})

export const ListUpdateBody = Type.Object({
  list: Type.Object(
    { name: Type.Optional(Name), ...texts, ...extensions },
    { title: 'ListChange', description: 'Only the keys in the request change.' },
  ),
})

/** The id of a list in a path. */
export const ListIdParam = idParam('Id of the list.', errors.listNotFound)

export const ListSchema = Type.Object(
  {
    id: Id('Id of the list.'),
    name: Type.String(),
    email_digest: TextOrNull(),
    email_subscribe: EmailNotice,
    email_unsubscribe: EmailNotice,
    first_optin_message: Type.String(),
    second_optin_message: Type.String(),
    message_help: TextOrNull(),
    message_stop: TextOrNull(),
    message_reply: TextOrNull(),
    message_already_subscribed: TextOrNull(),
    message_yes: TextOrNull(),
    keyword_names: Type.Array(Type.String(), { description: 'In upper case.' }),
    counts: Type.Object({
      subscribers: Count(),
      unsubscribed: Count(),
      cleaned: Count(),
    }),
    opt_in_type: Type.Union([Type.Literal('single'), Type.Literal('double')]),
    opt_in_requests: Type.Array(OptInRequest, { description: 'Empty for single opt-in.' }),
    bypass_opt_in_response: Type.Boolean({
      description: 'Whether a number that is subscribed without an opt-in request gets no welcome text.',
      'x-extension': true,
    }),
    short_code: Type.String({ description: 'The number that the list sends from.', 'x-extension': true }),
    resend_block_hours: ResendBlock,
    resubscribe_timeout_hours: ResubscribeTimeout,
    scheduled_lateness_minutes: ScheduledLateness,
    quiet_hours: QuietHours,
    reject_unreadable_values: RejectUnreadable,
    import_events: ImportEvents,
    send_hours: HoursOrNull('Broadcasts are sent only in these hours at the location of the phone.'),
    when_unknown: WhenUnknown,
  },
  { title: 'List' },
)

export const ListPage = pageSchema('lists', ListSchema)

export const KeywordsBody = Type.Object({
  keyword_names: Type.Array(Type.String({ maxLength: 100 }), {
    maxItems: 100,
    description: 'Words of 2 to 15 characters that opt a number in; unique on the short code.',
  }),
})

export const KeywordsResponse = Type.Object({
  status: Type.Literal('Keywords changed'),
  keyword_names: Type.Array(Type.String(), { description: 'In upper case.' }),
})

export const ListResponse = Type.Object({ status: Type.Literal('OK'), list: ListSchema })
export const ListCreatedResponse = Type.Object({ status: Type.Literal('List created'), list: ListSchema })
export const ListDestroyedResponse = Type.Object({ status: Type.Literal('List Destroyed') })

/** Presents a list. */
export function presentList(list: ListView, timeZone: string): Static<typeof ListSchema> {
  return {
    id: list.id,
    name: list.name,
    email_digest: list.emailDigest,
    email_subscribe: list.emailSubscribe,
    email_unsubscribe: list.emailUnsubscribe,
    first_optin_message: list.firstOptinMessage,
    second_optin_message: list.secondOptinMessage,
    message_help: list.messageHelp,
    message_stop: list.messageStop,
    message_reply: list.messageReply,
    message_already_subscribed: list.messageAlreadySubscribed,
    message_yes: list.messageYes,
    keyword_names: list.keywordNames,
    counts: list.counts,
    opt_in_type: list.optInType,
    opt_in_requests: list.optInRequests.map((request) => presentOptInRequest(request, timeZone)),
    bypass_opt_in_response: list.bypassOptInResponse,
    short_code: list.shortCode,
    resend_block_hours: list.resendBlockHours,
    resubscribe_timeout_hours: list.resubscribeTimeoutHours,
    scheduled_lateness_minutes: list.scheduledLatenessMinutes,
    quiet_hours: list.quietHours,
    reject_unreadable_values: list.rejectsUnreadable,
    import_events: list.importEvents,
    send_hours: list.sendHours && presentHours(list.sendHours),
    when_unknown: list.whenUnknown,
  }
}

const blank: Omit<ListSettings, 'name'> = {
  messageYes: null,
  messageHelp: null,
  messageStop: null,
  messageReply: null,
  messageAlreadySubscribed: null,
  firstOptinMessage: '',
  secondOptinMessage: '',
  emailDigest: null,
  emailSubscribe: null,
  emailUnsubscribe: null,
  resendBlockHours: 48,
  resubscribeTimeoutHours: 48,
  scheduledLatenessMinutes: 60,
  quietHours: false,
  rejectsUnreadable: false,
  importEvents: false,
  sendHours: null,
  whenUnknown: 'never_twice',
}

/** Returns all settings of a new list: the given values, and the defaults for the others. */
export function readNewList(body: Static<typeof ListCreateBody>['list']): ListSettings {
  return { ...blank, name: body.name, ...readListChange(body) }
}

/** Returns the settings that a body names; the two welcome texts are never null. */
export function readListChange(body: Static<typeof ListUpdateBody>['list']): ListChange {
  const given: ListChange = {
    name: body.name,
    messageYes: body.message_yes,
    messageHelp: body.message_help,
    messageStop: body.message_stop,
    messageReply: body.message_reply,
    messageAlreadySubscribed: body.message_already_subscribed,
    firstOptinMessage: body.first_optin_message === null ? '' : body.first_optin_message,
    secondOptinMessage: body.second_optin_message === null ? '' : body.second_optin_message,
    emailDigest: body.email_digest,
    emailSubscribe: body.email_subscribe,
    emailUnsubscribe: body.email_unsubscribe,
    resendBlockHours: body.resend_block_hours,
    resubscribeTimeoutHours: body.resubscribe_timeout_hours,
    scheduledLatenessMinutes: body.scheduled_lateness_minutes,
    quietHours: body.quiet_hours,
    rejectsUnreadable: body.reject_unreadable_values,
    importEvents: body.import_events,
    sendHours: readHours(body.send_hours, 'list.send_hours'),
    whenUnknown: body.when_unknown,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}
