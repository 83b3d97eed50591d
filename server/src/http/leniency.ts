import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { rejectUnstorable } from './body-parser.ts'
import { normalizePage } from './pagination.ts'

// Conversions between parsing and validation. JSON values are not converted. Strings in a path, a query or a form become
// numbers and booleans where the schema requires them.

/** Merges the body of a GET into its query and the query of other methods into their body, clamps page numbers, and converts strings to the schema's types. */
export function useLeniency(app: FastifyInstance) {
  app.addHook('preValidation', async (req) => {
    const { params, querystring, body } = (req.routeOptions.schema ?? {}) as Record<string, Schema | undefined>
    // the body has been checked when it was parsed
    rejectUnstorable(req.query)
    if (req.method === 'GET') mergeBodyIntoQuery(req)
    if (querystring?.properties && 'page' in querystring.properties) normalizePage(req.query as Record<string, unknown>)
    if (params) req.params = convert(params, req.params)
    if (querystring) req.query = convert(querystring, req.query)
    if (querystring && req.method === 'GET') rejectManyParts(querystring, req.query, '')
    // a missing body is reported as missing fields
    if (body) req.body ??= {}
    if (body && req.isForm) req.body = convert(body, req.body)
    if (body && req.method !== 'GET') mergeQueryIntoBody(req, body, querystring)
    if (body) rejectManyParts(body, req.body, '')
  })
}

/** The vendor's samples send the dates of a GET in a JSON body, which takes precedence as in any other method. */
function mergeBodyIntoQuery(req: FastifyRequest) {
  if (isPlainObject(req.body)) req.query = merge(req.query, req.body)
}

/**
 * Adds the keys of the query that the body's schema has to the body, for clients that send arguments of a DELETE or a
 * POST in the URL; a key in the body takes precedence, and so does the query's own schema.
 */
function mergeQueryIntoBody(req: FastifyRequest, schema: Schema, querystring: Schema | undefined) {
  if (!isPlainObject(req.body)) return
  const given = Object.entries(req.query as object).filter(
    ([key]) => Object.hasOwn(schema.properties ?? {}, key) && !Object.hasOwn(querystring?.properties ?? {}, key),
  )
  if (given.length === 0) return
  req.body = merge(convert(schema, Object.fromEntries(given)), req.body)
}

/** Returns both objects in one, with the values of `winner` where both have a key; objects in them are merged, too. */
function merge(given: unknown, winner: unknown): unknown {
  if (!isPlainObject(given) || !isPlainObject(winner)) return winner
  const merged: Record<string, unknown> = Object.assign(Object.create(null), given)
  for (const [key, value] of Object.entries(winner)) merged[key] = key in merged ? merge(merged[key], value) : value
  return merged
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export type Schema = {
  type?: string | string[]
  properties?: Record<string, Schema>
  items?: Schema
  maxItems?: number
  additionalProperties?: boolean | Schema
  patternProperties?: Record<string, Schema>
}

/**
 * Returns the value with each string converted to the number, boolean or array of the schema, where it can be parsed, and
 * without empty strings in place of numbers.
 */
export function convert(schema: Schema, value: unknown): unknown {
  const accepts = (type: string) => (Array.isArray(schema.type) ? schema.type.includes(type) : schema.type === type)
  if (typeof value === 'string') {
    if (accepts('string')) return value
    if ((accepts('integer') || accepts('number')) && /^-?[0-9]{1,15}$/.test(value)) return Number(value)
    if (accepts('number') && /^-?[0-9]{1,15}\.[0-9]{1,15}$/.test(value)) return Number(value)
    if (accepts('boolean') && /^(?:true|1)$/i.test(value)) return true
    if (accepts('boolean') && /^(?:false|0|)$/i.test(value)) return false
    if (accepts('null') && value === '') return null
    if (accepts('array')) return [convert(schema.items ?? {}, value)]
    return value
  }
  const items = accepts('array') ? itemsOf(value) : undefined
  if (items) return items.map((item) => convert(schema.items ?? {}, item))
  if (typeof value !== 'object' || value === null || !schema.properties) return value
  for (const [key, part] of Object.entries(schema.properties)) {
    const given = (value as Record<string, unknown>)[key]
    if (given === '' && isNumeric(part)) delete (value as Record<string, unknown>)[key]
    else if (given !== undefined) (value as Record<string, unknown>)[key] = convert(part, given)
  }
  return value
}

/** Returns the items of an array, or of an object whose keys are indexes, as in `tags[0]=a&tags[1]=b`. */
function itemsOf(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value
  const keys = isPlainObject(value) ? Object.keys(value) : []
  // an object has keys that are numbers in ascending order
  const isIndexed = keys.length > 0 && keys.every((key) => /^(?:0|[1-9]\d{0,8})$/.test(key))
  return isIndexed ? Object.values(value as object) : undefined
}

/** Returns whether the schema accepts numbers only; an empty field of a form, which has no number, is then absent. */
function isNumeric({ type }: Schema): boolean {
  return type === 'integer' || type === 'number'
}

/** Maximum number of keys of an object whose keys are all validated. */
const maxKeys = 1_000

/** Validation reports every error, so half a million invalid items or keys must be rejected before validation. */
function rejectManyParts(schema: Schema, value: unknown, path: string) {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    const { maxItems = Infinity, items } = schema
    if (value.length > maxItems) throw errors.invalid({ [path]: [`has too many items (maximum is ${maxItems})`] })
    if (items?.properties || items?.items) for (const item of value) rejectManyParts(items, item, path)
    return
  }
  const isStrict = schema.patternProperties !== undefined || (schema.additionalProperties ?? true) !== true
  if (isStrict && Object.keys(value).length > maxKeys) {
    throw errors.invalid({ [path || 'body']: [`has too many keys (maximum is ${maxKeys})`] })
  }
  for (const [key, part] of Object.entries(schema.properties ?? {})) {
    rejectManyParts(part, (value as Record<string, unknown>)[key], path === '' ? key : `${path}.${key}`)
  }
}
