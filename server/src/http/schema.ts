import { type Static, type TSchema, Type } from 'typebox'

// Parts of wire schemas that every noun uses. A schema with a `title` becomes a component of openapi.json.

/** An id: a number that JavaScript represents exactly. */
export const Id = (description: string) => Whole(1, Number.MAX_SAFE_INTEGER, description)

/** A whole number between two limits, which openapi.json shows. Each number in a body or a response has limits. */
export function Whole(minimum: number, maximum: number, description?: string) {
  return Type.Integer({ minimum, maximum, ...(description === undefined ? {} : { description }) })
}

/** A whole number that may be null. */
export function WholeOrNull(minimum: number, maximum: number, description?: string) {
  return Type.Unsafe<number | null>({ ...Whole(minimum, maximum, description), type: ['integer', 'null'] })
}

/** The largest integer of PostgreSQL's type of that name. */
export const maxInt32 = 2 ** 31 - 1

/** A number of things. */
export const Count = (description?: string) => Whole(0, Number.MAX_SAFE_INTEGER, description)

/** The largest cost in dollars that the database stores. */
const maxDollars = 9_999_999_999

/** An amount of US dollars. */
export const Dollars = (description: string) => Type.Number({ minimum: 0, maximum: maxDollars, description })

/** A string that may be null: one schema with two types, because the validation errors of a union are unclear. */
export function TextOrNull(options: { maxLength?: number; description?: string } = {}) {
  return Type.Unsafe<string | null>({ type: ['string', 'null'], ...options })
}

/**
 * A value that requests may send in several types, because clients of the vendor do. openapi.json has only the
 * `documented` ones, which new clients should send. A value whose types differ in meaning is a plain schema with them.
 * In other schemas, `documented` is the schema for the document, or false for a key that only former clients send.
 */
export function accepted<T>(schema: { type: string[]; documented: string | string[] } & Record<string, unknown>) {
  return Type.Unsafe<T>(schema)
}

/** A boolean, or one of the forms in which PHP clients send a boolean. */
export const Flag = (description: string) =>
  accepted<boolean | string | number | null>({
    type: ['boolean', 'string', 'integer', 'null'],
    documented: 'boolean',
    enum: [true, false, 1, 0, 'true', 'false', '1', '0', '', null],
    description,
  })

/** Whether a flag in a body means true. */
export function isSet(flag: boolean | string | number | null | undefined): boolean {
  return flag === true || flag === 1 || flag === '1' || flag === 'true'
}

/** A time in a response: ISO 8601, with seconds and the account's offset. */
export const Time = Type.String({ format: 'date-time' })
export const TimeOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })

/** The error of a malformed time in a body. */
export const timeFault = 'must be a time with an offset, as 2031-05-06T09:00:00-07:00'

export const ErrorResponse = Type.Object(
  {
    status: Type.Literal('error'),
    error: Type.String({ description: 'Description of the error, for people.' }),
    code: Type.String({
      description: 'Identifier of the error, for programs; a code never changes.',
      'x-extension': true,
    }),
    details: Type.Optional(
      Type.Record(Type.String(), Type.Array(Type.String()), {
        description: 'Errors per field.',
        'x-extension': true,
      }),
    ),
    request_id: Type.String({ 'x-extension': true }),
  },
  { title: 'ErrorResponse', description: 'The body of every response that is not a success.' },
)

/** The error responses that every operation has in addition to its own; openapi-errors.ts describes them. */
export const commonErrors = { 401: ErrorResponse, 403: ErrorResponse, 429: ErrorResponse }

/** Returns the schema of an error response, with its meaning for this operation. */
export function errorResponse(description: string) {
  return Type.Unsafe<Static<typeof ErrorResponse>>({ ...ErrorResponse, 'x-response-description': description })
}

export type Wire<T extends TSchema> = Static<T>
