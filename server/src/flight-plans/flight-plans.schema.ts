import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { idParam } from '../http/path-params.ts'
import { Id, TextOrNull, TimeOrNull } from '../http/schema.ts'
import { formatTime } from '../http/times.ts'
import { MessageCreateBody } from '../messages/messages.schema.ts'
import type { FlightPlan } from './flight-plans.queries.ts'

const { content, max_parts, audience, send_at } = MessageCreateBody.properties.message.properties

export const FlightPlanBody = Type.Object({
  message: Type.Object({ content, max_parts, audience, send_at }, { additionalProperties: false }),
})

const Dollars = (description: string) => Type.Number({ description })
const CarrierOrNull = Type.Unsafe<number | null>({
  type: ['integer', 'null'],
  description: 'Null where it is not known.',
})

const Result = Type.Object({
  audience: Type.Integer({ description: 'Who is subscribed and passes the tests of the audience.' }),
  suppressed: Type.Object(
    {
      opted_out: Type.Integer({ description: 'They left while it was reckoned.' }),
      too_long: Type.Integer({ description: 'Their own text would be longer than it may be.' }),
      blank: Type.Integer({ description: 'There would be nothing in their text.' }),
      no_window: Type.Integer({ description: 'No hour of the week is one in which they may be texted.' }),
      too_late: Type.Integer({ description: 'The first hour in which they may be texted is past `deliver_by`.' }),
    },
    { description: 'Who of them gets nothing, and why.' },
  ),
  recipients: Type.Integer({ description: 'Who gets it.' }),
  parts: Type.Object({
    sum: Type.Integer(),
    minimum: Type.Integer(),
    maximum: Type.Integer(),
    histogram: Type.Array(Type.Object({ parts: Type.Integer(), recipients: Type.Integer() })),
  }),
  cost: Type.Object(
    {
      total: Dollars('US dollars.'),
      by_carrier: Type.Array(
        Type.Object({
          carrier: CarrierOrNull,
          carrier_name: TextOrNull(),
          recipients: Type.Integer(),
          parts: Type.Integer(),
          price: Dollars('Of one part.'),
          cost: Dollars('Of all of them.'),
        }),
      ),
    },
    { description: 'By the rates of the day on which it is to go out.' },
  ),
  duration: Type.Object({
    minutes: Type.Unsafe<number | null>({ type: ['number', 'null'], description: 'Null where nothing could send it.' }),
    per_second: Type.Unsafe<number | null>({ type: ['number', 'null'], description: 'Parts a second.' }),
    limited_by: Type.String({
      description: 'short_code, connections, carrier:383 (caps), window, software, or no_connection.',
    }),
    assumptions: Type.Array(Type.String()),
  }),
  quiet_hours: Type.Object(
    {
      now: Type.Integer({ description: 'Recipients who may not be texted at this moment.' }),
      at_send_at: Type.Integer({ description: 'Who may not be when it is to go out; now, where no time is given.' }),
      last_opens_at: { ...TimeOrNull, description: 'When the last of them may be texted.' },
    },
    { description: 'All 0 where the message keeps to no hours.' },
  ),
  ucs2: Type.Object(
    {
      recipients: Type.Integer({
        description: 'Whose text has characters that GSM-7 lacks, so 70 to a part and not 160.',
      }),
      saved_parts: Type.Integer({ description: 'What replacing them would save.' }),
      saved_cost: Dollars('The same, at what a part costs on average.'),
      characters: Type.Array(
        Type.Object({
          character: Type.String(),
          in_text: Type.Boolean({ description: 'It is in the text itself; else in what it says of people.' }),
          recipients: Type.Integer(),
          replacement: Type.String({ description: 'What GSM-7 can write instead; empty where it would be left out.' }),
        }),
        { description: 'At most 50, the most frequent first.' },
      ),
    },
    { description: 'What it takes to write some texts in UCS-2.' },
  ),
})

/** The id of a flight plan in a path. */
export const FlightPlanIdParam = idParam('Id of the flight plan.', errors.flightPlanNotFound)

export const FlightPlanSchema = Type.Object(
  {
    id: Id('Id of the flight plan.'),
    status: Type.Unsafe<FlightPlan['status']>({ type: 'string', enum: ['pending', 'done', 'failed'] }),
    message_id: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'The message that it is of.' }),
    created_at: Type.String({ format: 'date-time', description: 'The audience is who was subscribed then.' }),
    finished_at: TimeOrNull,
    result: Type.Optional(Result),
  },
  { title: 'FlightPlan', 'x-extension': true },
)

export const FlightPlanResponse = Type.Object({ status: Type.Literal('OK'), flight_plan: FlightPlanSchema })

/** A flight plan on the wire, with its result once there is one. */
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
