import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { Flag, Id, isSet, TextOrNull, Time } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import type { OptInRequestRow, OptInRequest as Request } from './opt-in-settings.queries.ts'
import type { OptInChange } from './opt-in-settings.ts'

const maxText = 1_530
const Text = (description: string) => TextOrNull({ maxLength: maxText, description })

const CollectedData = Type.Unsafe<Request['collectedData']>({
  type: 'string',
  enum: ['zip_code', 'email_address', 'first_name', 'yes'],
  description: 'The kind of reply that this step asks for.',
})
const SuccessAction = Type.Unsafe<Request['successAction']>({
  type: ['string', 'null'],
  enum: ['nextrequest', 'optinsubscriber', null],
  description: 'The action after a valid reply. The last step subscribes the number; null means the same there.',
})
const followUpHours = { minimum: 1, maximum: 720, description: 'Hours until the reminder.' }

const OptInRequestInput = Type.Object(
  {
    collected_data: CollectedData,
    request_message: Type.Optional(Text('The question.')),
    retry_message: Type.Optional(Text('Sent after an invalid answer.')),
    follow_up: Type.Optional(Flag('Whether a reminder is sent if there is no answer.')),
    follow_up_hour: Type.Optional(Type.Unsafe<number | null>({ type: ['integer', 'null'], ...followUpHours })),
    no_response_message: Type.Optional(Text('The reminder.')),
    success_action: Type.Optional(SuccessAction),
    opt_in_message: Type.Optional(Text('Welcomes a number that was never on the list.')),
    second_opt_in_message: Type.Optional(Text('Welcomes a number that was on the list before.')),
    bypass_opt_in_response: Type.Optional(Flag('Whether to send no welcome text after this step.')),
  },
  { title: 'OptInRequestInput' },
)

export const OptInSettingsBody = Type.Object({
  opt_in_type: Type.Unsafe<'single' | 'double'>({
    type: 'string',
    enum: ['single', 'double'],
    description: 'single: the keyword subscribes. double: the number completes the steps first.',
  }),
  bypass_opt_in_response: Type.Optional(Flag('Whether to send no welcome text.')),
  first_optin_message: Type.Optional(Text('Welcomes a number that was never on the list. For single.')),
  second_optin_message: Type.Optional(Text('Welcomes a number that was on the list before. For single.')),
  opt_in_requests: Type.Optional(
    Type.Array(OptInRequestInput, {
      maxItems: 20,
      description: 'The steps, in order; they replace the stored steps. For double.',
    }),
  ),
})

/** A presented step; the contract has its keys in alphabetical order. */
export const OptInRequest = Type.Object(
  {
    bypass_opt_in_response: Type.Boolean(),
    collected_data: CollectedData,
    created_at: Time,
    follow_up: Type.Boolean(),
    follow_up_hour: Type.Unsafe<number | null>({ type: ['integer', 'null'], ...followUpHours }),
    id: Id('Id of the step.'),
    list_id: Id('Id of the list.'),
    no_response_message: TextOrNull(),
    opt_in_message: TextOrNull(),
    request_message: TextOrNull(),
    retry_message: TextOrNull(),
    second_opt_in_message: TextOrNull(),
    success_action: SuccessAction,
    updated_at: Time,
  },
  { title: 'OptInRequest' },
)

export const OptInSettingsResponse = Type.Object({
  status: Type.Literal('Opt in settings updated'),
  opt_in_type: Type.Union([Type.Literal('single'), Type.Literal('double')]),
  first_optin_message: Type.Optional(Type.String({ description: 'For single.' })),
  second_optin_message: Type.Optional(Type.String({ description: 'For single.' })),
  opt_in_requests: Type.Optional(Type.Array(OptInRequest, { description: 'For double.' })),
})

export function presentOptInRequest(request: OptInRequestRow, timeZone: string): Static<typeof OptInRequest> {
  return {
    bypass_opt_in_response: request.bypassOptInResponse,
    collected_data: request.collectedData,
    created_at: formatTime(new Date(request.createdAt), timeZone),
    follow_up: request.followUp,
    follow_up_hour: request.followUpHour,
    id: request.id,
    list_id: request.listId,
    no_response_message: request.noResponseMessage,
    opt_in_message: request.optInMessage,
    request_message: request.requestMessage,
    retry_message: request.retryMessage,
    second_opt_in_message: request.secondOptInMessage,
    success_action: request.successAction,
    updated_at: formatTime(new Date(request.updatedAt), timeZone),
  }
}

/** Returns the change in a validated body; throws if a person could not complete the steps. */
export function readOptInSettings(body: Static<typeof OptInSettingsBody>): OptInChange {
  const bypassOptInResponse = isSet(body.bypass_opt_in_response)
  if (body.opt_in_type === 'single') {
    return {
      optInType: 'single',
      bypassOptInResponse,
      firstOptinMessage: body.first_optin_message === null ? '' : body.first_optin_message,
      secondOptinMessage: body.second_optin_message === null ? '' : body.second_optin_message,
      requests: undefined,
    }
  }
  const requests = body.opt_in_requests?.map((given) => readRequest(given, bypassOptInResponse))
  if (requests) rejectDeadEnds(requests)
  return {
    optInType: 'double',
    bypassOptInResponse,
    firstOptinMessage: undefined,
    secondOptinMessage: undefined,
    requests,
  }
}

function readRequest(given: Static<typeof OptInRequestInput>, bypassOptInResponse: boolean): Request {
  return {
    collectedData: given.collected_data,
    requestMessage: given.request_message ?? null,
    retryMessage: given.retry_message ?? null,
    followUp: isSet(given.follow_up),
    followUpHour: given.follow_up_hour ?? null,
    noResponseMessage: given.no_response_message ?? null,
    successAction: given.success_action ?? null,
    optInMessage: given.opt_in_message ?? null,
    secondOptInMessage: given.second_opt_in_message ?? null,
    bypassOptInResponse: isSet(given.bypass_opt_in_response ?? bypassOptInResponse),
  }
}

function rejectDeadEnds(requests: Request[]) {
  const faults: string[] = []
  if (requests.some(({ followUp, followUpHour }) => followUp && followUpHour === null)) {
    faults.push('must have a follow_up_hour where follow_up is true')
  }
  if (requests.at(-1)?.successAction === 'nextrequest') faults.push('must end with optinsubscriber')
  if (faults.length > 0) throw errors.invalid({ opt_in_requests: faults })
}
