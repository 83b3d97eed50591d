import { type Static, Type } from 'typebox'
import { errors } from '../../errors.ts'
import { accepted, Flag, Id, isSet, TextOrNull, timeFault } from '../../http/schema.ts'
import { type CallbackUrlCheck, maxUrlLength } from '../../lib/callback-url.ts'
import { parseInstant } from '../../lib/dates.ts'
import { parsePhoneNumber } from '../../sms/phone-number.ts'
import { DeliverBy, isTooLate, lateFault } from '../timing/timing.schema.ts'

const maxCharacters = 160

const PhoneText = (description: string) =>
  Type.Optional(
    accepted<string | number>({ type: ['string', 'integer'], documented: 'string', maxLength: 40, description }),
  )

const keys = {
  number: PhoneText('Ten digits. Required.'),
  phone_number: PhoneText('Another name for number.'),
  content: Type.Optional(Type.String({ pattern: '\\S', description: 'At most 160 characters. Required.' })),
  is_mms: Type.Optional(Flag('MMS is not supported yet: true is an error.')),
  deliver_by: DeliverBy,
  webhook_callback_url: Type.Optional(
    TextOrNull({
      maxLength: maxUrlLength,
      description: 'An http or https address to call with the result and the replies.',
    }),
  ),
}

const { phone_number: _, ...currentKeys } = keys
const documented = Type.Object({
  transactional_message: Type.Object(
    {
      ...currentKeys,
      number: Type.String({ maxLength: 40, description: 'Ten digits.' }),
      content: Type.String({ pattern: '\\S', description: `At most ${maxCharacters} characters.` }),
    },
    { title: 'TransactionalMessageCreation' },
  ),
})

/** A message in one of two envelopes, or without one; new clients send the first envelope. */
export const TransactionalBody = Type.Object(
  {
    transactional_message: Type.Optional(Type.Object(keys)),
    transactional_messages: Type.Optional(Type.Object(keys)),
    ...keys,
  },
  { documented },
)

export const TransactionalResponse = Type.Object({
  status: Type.Literal('Message successfully sent.'),
  transactional_message: Type.Object(
    {
      id: Id('Id of the message.'),
      number: Type.String({ examples: ['2065550143'] }),
      content: Type.String(),
      status: Type.Literal('pending'),
    },
    { title: 'TransactionalMessage' },
  ),
})

/** Returns the message of a body, with or without an envelope; throws for errors that the schema cannot express. */
export function readTransactional(body: Static<typeof TransactionalBody>, faultOf: CallbackUrlCheck) {
  const { envelope, message } = readEnvelope(body)
  const nameOf = (key: string) => (envelope === '' ? key : `${envelope}.${key}`)
  if (isSet(message.is_mms)) throw errors.mmsNotSupported(nameOf('is_mms'))

  const faults: Record<string, string[]> = {}
  const number = message.number ?? message.phone_number
  const numberField = nameOf(message.number === undefined && number !== undefined ? 'phone_number' : 'number')
  const phone = parsePhoneNumber(number)
  if (phone === undefined) faults[numberField] = [number === undefined ? "can't be blank" : 'must be ten digits']
  const { content, webhook_callback_url: url } = message
  if (content === undefined) faults[nameOf('content')] = ["can't be blank"]
  else if ([...content].length > maxCharacters) {
    faults[nameOf('content')] = [`is too long (maximum is ${maxCharacters} characters)`]
  }
  const deliverBy = message.deliver_by ? parseInstant(message.deliver_by)?.instant : null
  if (deliverBy === undefined) faults[nameOf('deliver_by')] = [timeFault]
  else if (deliverBy && isTooLate(deliverBy)) faults[nameOf('deliver_by')] = [lateFault]
  const urlFault = url ? faultOf(url) : undefined
  if (urlFault !== undefined) faults[nameOf('webhook_callback_url')] = [urlFault]
  if (Object.keys(faults).length > 0 || phone === undefined || content === undefined) throw errors.invalid(faults)
  return { phone, content, deliverBy, webhookCallbackUrl: url || null, field: numberField }
}

function readEnvelope(body: Static<typeof TransactionalBody>) {
  for (const envelope of ['transactional_message', 'transactional_messages'] as const) {
    const message = body[envelope]
    if (message) return { envelope, message }
  }
  const isFlat = ['number', 'phone_number', 'content'].some((key) => key in body)
  if (!isFlat) throw errors.invalid({ transactional_message: ["can't be blank"] })
  return { envelope: '', message: body }
}
