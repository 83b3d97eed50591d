import { bodies } from './bodies.ts'
import type { DescribedOperation, Schema } from './description.ts'

// The fields of all request bodies, as openapi.json describes them, each with a body that is valid except for the field.

/** A field of a body; `body` returns the valid body of the operation with this value in the field. */
export type RequestField = {
  operation: DescribedOperation
  /** Keys from the body to the field, without indexes, as in the errors of a response: `shortcode.routes.tier`. */
  name: string
  key: string
  schema: Schema
  body(value: unknown): object
}

/** Other keys that an object must have, if the valid bodies of bodies.ts lack the object; `{...}` is the id of a fixture. */
const required: Record<string, object> = {
  CustomFieldCreation: { max_length: 9_999 },
  FieldCondition: { key: 'size', op: 'eq' },
  OwnHours: { state: 'FL', weekdays: [1], from: '09:00', to: '19:00', source: 'Our lawyer' },
  SendingSettingsChangeRoute: { connection_id: '{connection_id}' },
  OptInRequestInput: {
    collected_data: 'zip_code',
    request_message: 'What is your ZIP code?',
    retry_message: 'Five digits, please.',
    follow_up: true,
    no_response_message: 'Still there?',
    success_action: 'optinsubscriber',
    opt_in_message: 'Welcome!',
  },
  SendHours: { from: '09:00', to: '19:00' },
}

/** Other keys of a body that the fields of one key require. */
const requiredInBody: Record<string, object> = {
  opt_in_requests: { opt_in_type: 'double' },
}

/** A key of an object whose keys are data. */
const mapKey = '383'

type Place = Pick<RequestField, 'operation' | 'name' | 'key' | 'body'>

/** Returns all fields of the JSON bodies of these operations, also fields of objects in arrays and in maps. */
export function requestFields(
  operations: DescribedOperation[],
  components: Record<string, Schema>,
  ids: Record<string, string>,
): RequestField[] {
  const fields: RequestField[] = []

  function visit(schema: Schema, place: Place): void {
    const component = String(schema.$ref ?? '')
      .split('/')
      .at(-1)
    if (component) visitObject(components[component] ?? {}, component, place)
    else if (Array.isArray(schema.anyOf)) for (const branch of schema.anyOf as Schema[]) visit(branch, place)
    else visitValue(schema, place)
  }

  function visitValue(schema: Schema, place: Place): void {
    fields.push({ ...place, schema })
    if (schema.items) visit(schema.items as Schema, { ...place, body: (value) => place.body([value]) })
    if (typeof schema.additionalProperties === 'object') {
      visit(schema.additionalProperties as Schema, {
        ...place,
        key: mapKey,
        body: (value) => place.body({ [mapKey]: value }),
      })
    }
  }

  function visitObject(schema: Schema, component: string, place: Place): void {
    const others = withIds(required[component] ?? {}, ids)
    for (const [key, part] of Object.entries(schema.properties ?? {})) {
      const name = place.name === '' ? key : `${place.name}.${key}`
      const body = (value: unknown) => place.body({ ...others, [key]: value })
      visit(part, { operation: place.operation, name, key, body })
    }
  }

  for (const operation of operations) {
    const media = operation.requestBody?.content['application/json']
    const valid = bodies[operation.name]
    if (!media || typeof valid !== 'object') continue
    visit(media.schema as Schema, {
      operation,
      name: '',
      key: '',
      body: (value) => merge(valid ?? {}, requiredBy(value), value as object),
    })
  }
  return fields
}

function requiredBy(value: unknown): object {
  const keys = Object.keys(value as object)
  return Object.assign({}, ...keys.map((key) => requiredInBody[key] ?? {}))
}

function withIds(sample: object, ids: Record<string, string>): object {
  const text = JSON.stringify(sample).replace(/"\{(\w+)\}"/g, (_, name) => ids[name] ?? 'null')
  return JSON.parse(text)
}

function merge(...parts: object[]): object {
  const merged: Record<string, unknown> = {}
  for (const part of parts) {
    for (const [key, value] of Object.entries(part)) {
      const known = merged[key]
      merged[key] = isPlain(known) && isPlain(value) ? merge(known, value) : value
    }
  }
  return merged
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
