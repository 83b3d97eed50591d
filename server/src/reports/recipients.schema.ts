import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageQuery, pageSchema } from '../http/pagination.ts'
import { Count, Id, TextOrNull, TimeOrNull, Whole } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { clickedWords } from '../links/clicked.sql.ts'
import { reasons } from '../log/reasons.ts'
import { type State, states } from '../log/transitions.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { momtStatuses, statusOfState } from './momt-columns.ts'
import type { RecipientOfMessage } from './recipients.queries.ts'
import type { GivenFilter } from './recipients.ts'

const statuses = momtStatuses.filter((status) => status !== 'received')

export const RecipientsQuery = Type.Object({
  ...pageQuery,
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        'Only recipients with an id above this one, the last of the page before; `count` and `pages_count` are those of all.',
    }),
  ),
  state: Type.Optional(
    Type.String({
      maxLength: 200,
      description: `Only texts in these states, with commas between them: ${states.join(', ')}.`,
    }),
  ),
  status: Type.Optional(
    Type.String({
      maxLength: 200,
      description: `Only texts with these statuses of reports, with commas between them: ${statuses.join(', ')}.`,
    }),
  ),
  reason: Type.Optional(
    Type.String({
      maxLength: 100,
      description: `Only texts that were not delivered for this reason: ${reasons.join(', ')}.`,
    }),
  ),
  carrier: Type.Optional(
    Type.String({ maxLength: 200, description: 'Only numbers of this carrier, by the name of a look-up.' }),
  ),
  clicked: Type.Optional(
    Type.String({
      maxLength: 20,
      description:
        'Only recipients with a click of a person on a tracked link of the message (human) or any click (any), or without one ' +
        '(not_human, none).',
    }),
  ),
  link: Type.Optional(
    Type.String({
      maxLength: 5_000,
      description: 'Only the clicks on this link of the message, as in its content; requires `clicked`.',
    }),
  ),
})

export const RecipientSchema = Type.Object(
  {
    id: Id('Id of the text, as `momt_id` in reports.'),
    phone_number: Type.String(),
    state: Type.String({ description: 'State of the text.', examples: [...states] }),
    status: Type.String({ description: 'The same in the words of reports.', examples: statuses }),
    reason: TextOrNull({ description: 'Why it was not delivered.' }),
    carrier_status: TextOrNull({
      description: 'State and error of the receipt, or the command_status with which the SMSC rejected the text.',
    }),
    carrier: TextOrNull({ description: 'The carrier of the number, if it was looked up.' }),
    part_count: Whole(0, 255),
    submitted_at: TimeOrNull,
    closed_at: TimeOrNull,
    click_count: Count('Clicks on the tracked links of the message.'),
    human_click_count: Count('Those that no rule attributes to a machine.'),
  },
  { title: 'MessageRecipient' },
)

export const RecipientPage = pageSchema('recipients', RecipientSchema)

/** Returns the filter of a validated query; throws a 422 that names an unknown state, status, reason or word of `clicked`. */
export function readRecipientFilter(query: Static<typeof RecipientsQuery>): GivenFilter {
  const faults: Record<string, string[]> = {}
  const state = readWords('state', query.state, states, faults)
  const status = readWords('status', query.status, statuses, faults)
  const clicked = readWord('clicked', query.clicked, clickedWords, faults)
  const reason = readWord('reason', query.reason, reasons, faults)
  const link = query.link?.trim() || null
  if (link !== null && !query.clicked) faults.link = ['requires clicked']
  if (Object.keys(faults).length > 0) throw errors.invalid(faults)
  const isSelected = (each: State) =>
    (state === null || state.includes(each)) && (status === null || status.includes(statusOfState[each]))
  return {
    states: state === null && status === null ? null : states.filter(isSelected),
    reason,
    carrier: query.carrier?.trim() || null,
    clicked,
    link,
  }
}

function readWord<W extends string>(
  field: string,
  given: string | undefined,
  words: readonly W[],
  faults: Record<string, string[]>,
): W | null {
  const asked = given?.trim().toLowerCase()
  if (!asked) return null
  const word = words.find((each) => each === asked)
  if (!word) faults[field] = [`must be ${words.join(' or ')}`]
  return word ?? null
}

function readWords<W extends string>(
  field: string,
  given: string | undefined,
  words: readonly W[],
  faults: Record<string, string[]>,
): W[] | null {
  const asked = (given ?? '').split(',').flatMap((word) => word.trim().toLowerCase() || [])
  if (asked.length === 0) return null
  const known = words.filter((word) => asked.includes(word))
  if (asked.some((word) => !words.some((each) => each === word)))
    faults[field] = [`must be some of ${words.join(', ')}`]
  return known
}

/** Returns a recipient as the API presents it. */
export function presentRecipient(recipient: RecipientOfMessage, timeZone: string): Static<typeof RecipientSchema> {
  return {
    id: recipient.id,
    phone_number: formatPhoneNumber(recipient.phone),
    state: recipient.state,
    status: statusOfState[recipient.state],
    reason: recipient.reason,
    carrier_status: recipient.carrierStatus,
    carrier: recipient.carrier,
    part_count: recipient.partCount,
    submitted_at: formatTime(recipient.submittedAt, timeZone),
    closed_at: formatTime(recipient.closedAt, timeZone),
    click_count: recipient.clickCount,
    human_click_count: recipient.humanClickCount,
  }
}
