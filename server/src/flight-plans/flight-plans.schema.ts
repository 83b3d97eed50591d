import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { idParam } from '../http/path-params.ts'
import { Count, Dollars, Id, maxInt32, TextOrNull, TimeOrNull, WholeOrNull } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { MessageCreateBody } from '../messages/message-bodies.schema.ts'
import type { FlightPlan } from './flight-plans.queries.ts'

const { content, max_parts, track_links, audience, send_at } = MessageCreateBody.properties.message.properties

export const FlightPlanBody = Type.Object({
  message: Type.Object(
    { content, max_parts, track_links, audience, send_at },
    { title: 'PlannedMessage', additionalProperties: false },
  ),
})

const CarrierOrNull = WholeOrNull(0, maxInt32, 'Id of the carrier; null if it is unknown.')

const Result = Type.Object(
  {
    audience: Count('Number of subscribers who match the audience filters.'),
    suppressed: Type.Object(
      {
        opted_out: Count('Number of members who opted out while the plan was computed.'),
        stopped: Count(
          'Number of members who sent STOP to the short code and are on the list nevertheless, for example by a move.',
        ),
        too_long: Count('Number of members whose text would be too long.'),
        blank: Count('Number of members whose text would be blank.'),
        no_window: Count('Number of members who may not be texted in any hour of the week.'),
        too_late: Count('Number of members whose sending window opens only after `deliver_by`.'),
      },
      { description: 'Members of the audience who would not be sent a text, by reason.' },
    ),
    recipients: Count('Number of recipients.'),
    parts: Type.Object({
      sum: Count(),
      minimum: Count(),
      maximum: Count(),
      histogram: Type.Array(Type.Object({ parts: Count(), recipients: Count() })),
    }),
    cost: Type.Object(
      {
        total: Dollars('Total cost in US dollars.'),
        by_carrier: Type.Array(
          Type.Object({
            carrier: CarrierOrNull,
            carrier_name: TextOrNull(),
            recipients: Count(),
            parts: Count(),
            price: Dollars('Price of one part.'),
            cost: Dollars('Cost of all parts.'),
          }),
        ),
      },
      { description: 'At the rates of the day on which the message is to be sent.' },
    ),
    duration: Type.Object({
      minutes: Type.Unsafe<number | null>({
        type: ['number', 'null'],
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Duration in minutes; null if no connection can send the message.',
      }),
      per_second: Type.Unsafe<number | null>({
        type: ['number', 'null'],
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Parts per second.',
      }),
      limited_by: Type.String({
        description:
          'The limiting factor: short_code, connections or carrier:383 (caps), window, software, or no_connection.',
      }),
      assumptions: Type.Array(Type.String()),
    }),
    quiet_hours: Type.Object(
      {
        now: Count('Recipients who may not be texted now.'),
        at_send_at: Count('Recipients who may not be texted at `send_at`; without `send_at`, now.'),
        last_opens_at: { ...TimeOrNull, description: 'The latest time at which the window of a recipient opens.' },
      },
      { description: 'Recipients in quiet hours; all 0 if the message does not observe them.' },
    ),
    ucs2: Type.Object(
      {
        recipients: Count(
          'Recipients whose text has characters that GSM-7 lacks, so that a part has 70 instead of 160 characters.',
        ),
        saved_parts: Count('Number of parts that replacing those characters would save.'),
        saved_cost: Dollars('Cost that this would save, at the average price of a part.'),
        characters: Type.Array(
          Type.Object({
            character: Type.String(),
            in_text: Type.Boolean({
              description: 'Whether the character is in the content itself or only in the values of merge tags.',
            }),
            recipients: Count(),
            replacement: Type.String({ description: 'GSM-7 replacement; empty if the character would be removed.' }),
          }),
          { description: 'At most 50 characters, the most frequent first.' },
        ),
      },
      { description: 'Cost of characters that require UCS-2.' },
    ),
  },
  { title: 'FlightPlanResult' },
)

/** The id of a flight plan in a path. */
export const FlightPlanIdParam = idParam('Id of the flight plan.', errors.flightPlanNotFound)

export const FlightPlanSchema = Type.Object(
  {
    id: Id('Id of the flight plan.'),
    status: Type.Unsafe<FlightPlan['status']>({ type: 'string', enum: ['pending', 'done', 'failed'] }),
    message_id: WholeOrNull(1, Number.MAX_SAFE_INTEGER, 'Id of the message; null for a text that is not a message.'),
    created_at: Type.String({
      format: 'date-time',
      description: 'Time of the plan; the audience is the subscribers at that time.',
    }),
    finished_at: TimeOrNull,
    result: Type.Optional(Result),
  },
  { title: 'FlightPlan', 'x-extension': true },
)

export const FlightPlanResponse = Type.Object({ status: Type.Literal('OK'), flight_plan: FlightPlanSchema })

/** Presents a flight plan, with its result if it is done. */
export function presentFlightPlan(plan: FlightPlan, timeZone: string): Static<typeof FlightPlanSchema> {
  return {
    id: plan.id,
    status: plan.status,
    message_id: plan.messageId,
    created_at: formatTime(plan.createdAt, timeZone),
    finished_at: formatTime(plan.finishedAt, timeZone),
    ...(plan.result ? { result: presentResult(plan.result, timeZone) } : {}),
  }
}

function presentResult(result: NonNullable<FlightPlan['result']>, timeZone: string): Static<typeof Result> {
  const { audience, suppressed, recipients, parts, cost, duration, quietHours, ucs2 } = result
  const { lastOpensAt } = quietHours
  return {
    audience,
    suppressed,
    recipients,
    parts,
    cost: {
      total: cost.total,
      by_carrier: cost.byCarrier.map(({ carrierName, ...rest }) => ({ ...rest, carrier_name: carrierName })),
    },
    duration: {
      minutes: duration.minutes,
      per_second: duration.perSecond,
      limited_by: duration.limitedBy,
      assumptions: duration.assumptions,
    },
    quiet_hours: {
      now: quietHours.now,
      at_send_at: quietHours.atSendAt,
      last_opens_at: formatTime(lastOpensAt === null ? null : new Date(lastOpensAt), timeZone),
    },
    ucs2: {
      recipients: ucs2.recipients,
      saved_parts: ucs2.savedParts,
      saved_cost: ucs2.savedCost,
      characters: ucs2.characters.map(({ inText, ...rest }) => ({ ...rest, in_text: inText })),
    },
  }
}
