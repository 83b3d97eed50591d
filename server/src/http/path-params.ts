import { type TSchema, Type } from 'typebox'
import type { AppError } from '../errors.ts'
import { Id } from './schema.ts'

// Path parameters. A noun declares its own beside its wire schema, together with the error for an id that names nothing;
// the error handler returns that error for a malformed id, too.

/** A symbol, so that neither the validator nor openapi.json sees the annotation. */
const notFound = Symbol('notFound')

/** A numeric id in a path. A malformed id gets `error`, as an unknown one does. */
export function idParam(description: string, error: () => AppError) {
  return withNotFound(Id(description), error)
}

/** An id in a path that is not a number, such as a short code. A text that fails the schema gets `error`. */
export function textParam(
  options: { description: string; maxLength?: number; pattern?: string; examples?: string[] },
  error: () => AppError,
) {
  return withNotFound(Type.String(options), error)
}

/** The error that a path parameter declares; undefined for one that was not made by `idParam` or `textParam`. */
export function notFoundOf(params: unknown, name: string): (() => AppError) | undefined {
  const { properties = {} } = params as { properties?: Record<string, { [notFound]?: () => AppError }> }
  return properties[name]?.[notFound]
}

function withNotFound<T extends TSchema>(schema: T, error: () => AppError): T {
  return Object.assign(schema, { [notFound]: error })
}
