import { type Static, type TSchema, Type } from 'typebox'

// Pieces of wire schemas that every noun uses. A schema with a `title` becomes a component of openapi.json.

/** An id as a number that JavaScript represents exactly. */
export const Id = (description: string) => Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description })

/** A text that may be null. One schema with two types, because the faults of a union are hard to put into words. */
export function TextOrNull(options: { maxLength?: number; description?: string } = {}) {
  return Type.Unsafe<string | null>({ type: ['string', 'null'], ...options })
}

/** A boolean, or what PHP makes of one. */
export const Flag = (description: string) =>
  Type.Unsafe<boolean | string | number | null>({
    type: ['boolean', 'string', 'integer', 'null'],
    enum: [true, false, 1, 0, 'true', 'false', '1', '0', '', null],
    default: false,
    description,
  })

/** Whether a flag is up. */
export function isUp(flag: boolean | string | number | null | undefined): boolean {
  return flag === true || flag === 1 || flag === '1' || flag === 'true'
}

/** A time as the API shows it: ISO 8601, seconds, the account's offset. */
export const Time = Type.String({ format: 'date-time' })
export const TimeOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })

export const Refusal = Type.Object(
  {
    status: Type.Literal('error'),
    error: Type.String({ description: 'For people.' }),
    code: Type.String({ description: 'For machines; never changes.', 'x-extension': true }),
    details: Type.Optional(
      Type.Record(Type.String(), Type.Array(Type.String()), {
        description: 'What is wrong, per field.',
        'x-extension': true,
      }),
    ),
    request_id: Type.String({ 'x-extension': true }),
  },
  { title: 'Refusal', description: 'The body of every answer that is not a success.' },
)

/** The answers that any operation may give besides its own, for the reference page. */
export const refusals = {
  401: Type.Unsafe<Static<typeof Refusal>>({ ...Refusal, description: 'The API key is missing or wrong.' }),
  403: Type.Unsafe<Static<typeof Refusal>>({
    ...Refusal,
    description: 'The API key is disabled, or its scope is too narrow.',
  }),
  429: Type.Unsafe<Static<typeof Refusal>>({
    ...Refusal,
    description: 'Too many calls; Retry-After says how many seconds to wait.',
  }),
}

/** A refusal with what it means for this operation. */
export function refusal(description: string) {
  return Type.Unsafe<Static<typeof Refusal>>({ ...Refusal, description })
}

export type Wire<T extends TSchema> = Static<T>
