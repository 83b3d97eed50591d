import { type TSchema, Type } from 'typebox'
import type { AppError } from '../errors.ts'
import { Id } from './schema.ts'

// Path parameters. A noun declares its own beside its wire schema, together with the error for an unknown id; the error
// handler sends that error for a malformed id, too.

/** A symbol, because the validator and openapi.json ignore symbol keys. */
const notFound = Symbol('notFound')

/** Returns the schema of a numeric id in a path; a malformed id gets the same `error` as an unknown one. */
export function idParam(description: string, error: () => AppError) {
  return withNotFound(Id(description), error)
}

/** Returns the schema of a non-numeric id in a path, such as a short code; a string that does not match it gets `error`. */
export function textParam(
  options: { description: string; maxLength?: number; pattern?: string; examples?: string[] },
  error: () => AppError,
) {
  return withNotFound(Type.String(options), error)
}

/** Returns the error that a path parameter declares; undefined if `idParam` or `textParam` did not create the parameter. */
export function notFoundOf(params: unknown, name: string): (() => AppError) | undefined {
  const { properties = {} } = params as { properties?: Record<string, { [notFound]?: () => AppError }> }
  return properties[name]?.[notFound]
}

function withNotFound<T extends TSchema>(schema: T, error: () => AppError): T {
  return Object.assign(schema, { [notFound]: error })
}
