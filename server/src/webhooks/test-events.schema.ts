import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { callbackTypes, listEventTypes, reportTypes } from '../events/event-types.ts'
import { Id } from '../http/schema.ts'
import { type CallbackUrlCheck, maxUrlLength } from '../lib/callback-url.ts'

const EventTypeName = Type.Unsafe<(typeof listEventTypes)[number]>({
  type: 'string',
  enum: listEventTypes,
  description: 'Type of the event.',
})

export const TestEventBody = Type.Object({
  test_event: Type.Object({ type: EventTypeName }, { title: 'WebhookTestEventCreation' }),
})

export const TestEventResponse = Type.Object({
  status: Type.Literal('OK'),
  test_event: Type.Object(
    { type: EventTypeName, position: Id('Its position, with which the log of attempts can be filtered.') },
    { title: 'WebhookTestEvent' },
  ),
})

/** The types of callbacks of transactional messages and of reports. */
const testedCallbackTypes = [...callbackTypes, ...reportTypes] as const

export type TestedCallbackType = (typeof testedCallbackTypes)[number]

const CallbackTypeName = Type.Unsafe<TestedCallbackType>({
  type: 'string',
  enum: testedCallbackTypes,
  description: 'Type of the callback.',
})

export const CallbackTestBody = Type.Object({
  callback_test_event: Type.Object(
    {
      type: CallbackTypeName,
      webhook_callback_url: Type.String({ maxLength: maxUrlLength, description: 'The http or https URL to call.' }),
    },
    { title: 'CallbackTestEventCreation' },
  ),
})

export const CallbackTestResponse = Type.Object({
  status: Type.Literal('OK'),
  callback_test_event: Type.Object(
    { type: CallbackTypeName, position: Id('Its position, with which the log of attempts can be filtered.') },
    { title: 'CallbackTestEvent' },
  ),
})

/** Returns the type and URL of a test of a callback; throws a 422 for a URL that must not be called. */
export function readCallbackTest(
  { type, webhook_callback_url: url }: Static<typeof CallbackTestBody>['callback_test_event'],
  faultOf: CallbackUrlCheck,
) {
  const fault = faultOf(url)
  if (fault !== undefined) throw errors.invalid({ 'callback_test_event.webhook_callback_url': [fault] })
  return { type, url }
}

const previewTypes = [...listEventTypes, ...testedCallbackTypes]

const PreviewTypeName = Type.Unsafe<(typeof previewTypes)[number]>({
  type: 'string',
  enum: previewTypes,
  description: 'Type of the event: of the list, of a transactional message or of a report.',
})

export const PreviewQuery = Type.Object({ type: Type.Optional(PreviewTypeName) })

export const PreviewResponse = Type.Object({
  status: Type.Literal('OK'),
  preview: Type.Object(
    {
      type: PreviewTypeName,
      payload: Type.Unsafe<unknown>({ type: 'object', description: 'A body as a webhook receives it.' }),
    },
    { title: 'WebhookPreview' },
  ),
})

/** Presents a preview as JSON text, because the keys of the payload have an order. */
export function presentPreview(type: string, payload: string): string {
  return `{"status":"OK","preview":{"type":${JSON.stringify(type)},"payload":${payload}}}`
}
