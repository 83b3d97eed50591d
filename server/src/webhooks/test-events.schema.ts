import { Type } from 'typebox'
import { callbackTypes, listEventTypes } from '../events/event-types.ts'
import { Id } from '../http/schema.ts'

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

const previewTypes = [...listEventTypes, ...callbackTypes]

const PreviewTypeName = Type.Unsafe<(typeof previewTypes)[number]>({
  type: 'string',
  enum: previewTypes,
  description: 'Type of the event, of the list or of a transactional message.',
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
