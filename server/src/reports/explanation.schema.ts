import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { textParam } from '../http/path-params.ts'
import { Id, maxInt32, TextOrNull, TimeOrNull, Whole, WholeOrNull } from '../http/schema.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { Explanation } from './explanation.ts'
import type { Step } from './explanation-trail.ts'

const StepSchema = Type.Object(
  {
    at: TimeOrNull,
    event: Type.String({
      examples: [
        'consent',
        'accepted',
        'chosen',
        'suppressed',
        'waiting',
        'attempt_failed',
        'submitted',
        'unconfirmed',
        'receipt',
      ],
    }),
    detail: Type.String({ description: 'Description of the step, in one sentence.' }),
    until: Type.Optional(
      Type.Unsafe<string | null>({ ...TimeOrNull, description: 'End of the sending window of the text.' }),
    ),
    part: Type.Optional(Whole(1, 255, 'Number of the part, from 1.')),
    connection: Type.Optional(Type.String()),
    command_status: Type.Optional(Type.String({ description: 'Name of the command_status of the submit_sm_resp.' })),
    smsc_id: Type.Optional(Type.String({ description: 'Id of this part at the SMSC.' })),
    response_ms: Type.Optional(WholeOrNull(0, maxInt32)),
  },
  { title: 'ExplanationStep' },
)

/** The phone number of a recipient in a path. */
export const RecipientPhoneParam = textParam(
  { maxLength: 40, description: 'Phone number: ten digits.', examples: ['2065550143'] },
  errors.recipientNotFound,
)

export const RecipientResponse = Type.Object({
  status: Type.Literal('OK'),
  recipient: Type.Object(
    {
      message_id: Id('Id of the message.'),
      phone_number: Type.String(),
      state: Type.String({
        description: 'State of the text, or not_chosen.',
        examples: [
          'queued',
          'submitting',
          'sent',
          'delivered',
          'bounced',
          'expired',
          'suppressed',
          'cancelled',
          'unknown',
        ],
      }),
      reason: TextOrNull(),
      carrier_status: TextOrNull({
        description: 'State and error of the receipt, or the command_status with which the SMSC rejected the text.',
      }),
      content: TextOrNull({ description: 'Content of the text to this recipient.' }),
      part_count: WholeOrNull(0, 255),
      summary: Type.String({ description: 'Result, in one sentence.' }),
      trail: Type.Array(StepSchema, { description: 'All recorded steps, in chronological order.' }),
    },
    { title: 'Explanation' },
  ),
})

/** Returns an explanation as the API presents it, with times to the millisecond. */
export function presentExplanation(explanation: Explanation): Static<typeof RecipientResponse> {
  const { messageId, phone, carrierStatus, partCount, trail, ...rest } = explanation
  return {
    status: 'OK',
    recipient: {
      message_id: messageId,
      phone_number: formatPhoneNumber(phone),
      carrier_status: carrierStatus,
      part_count: partCount,
      ...rest,
      trail: trail.map(presentStep),
    },
  }
}

function presentStep({ at, until, commandStatus, smscId, responseMs, ...step }: Step) {
  return {
    at: at?.toISOString() ?? null,
    ...step,
    ...(until === undefined ? {} : { until: until?.toISOString() ?? null }),
    ...(commandStatus === undefined ? {} : { command_status: commandStatus }),
    ...(smscId === undefined ? {} : { smsc_id: smscId }),
    ...(responseMs === undefined ? {} : { response_ms: responseMs }),
  }
}
