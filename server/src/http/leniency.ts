import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { normalizePage } from './pagination.ts'

// What happens between parsing and validation. JSON is taken at its word; texts of a path, a query or a form become
// the numbers and booleans that the schema asks for, and nothing else is converted.

/** Merges the body of a GET into its query, brings pages into range, and converts texts to what the schema asks for. */
export function useLeniency(app: FastifyInstance) {
  app.addHook('preValidation', async (req) => {
    const { params, querystring, body } = (req.routeOptions.schema ?? {}) as Record<string, Schema | undefined>
    if (req.method === 'GET') mergeBodyIntoQuery(req)
    if (querystring?.properties && 'page' in querystring.properties) normalizePage(req.query as Record<string, unknown>)
    if (params) req.params = convert(params, req.params)
    if (querystring) req.query = convert(querystring, req.query)
    // so that the fault of no body is the missing field's
    if (body) req.body ??= {}
    if (body && req.isForm) req.body = convert(body, req.body)
    if (body) refuseLongArrays(body, req.body, '')
  })
}

/** The vendor's samples send the dates of a GET in a JSON body; where both are there, the query wins. */
function mergeBodyIntoQuery(req: FastifyRequest) {
  if (typeof req.body !== 'object' || req.body === null || Array.isArray(req.body)) return
  req.query = { ...req.body, ...(req.query as object) }
}

export type Schema = {
  type?: string | string[]
  properties?: Record<string, Schema>
  items?: Schema
  maxItems?: number
}

/** The value with each text turned into the number, boolean or array that the schema has in its place, if it reads as one. */
export function convert(schema: Schema, value: unknown): unknown {
  const wants = (type: string) => (Array.isArray(schema.type) ? schema.type.includes(type) : schema.type === type)
  if (typeof value === 'string') {
    if (wants('string')) return value
    if ((wants('integer') || wants('number')) && /^-?[0-9]{1,15}$/.test(value)) return Number(value)
    if (wants('number') && /^-?[0-9]{1,15}\.[0-9]{1,15}$/.test(value)) return Number(value)
    if (wants('boolean') && /^(?:true|1)$/i.test(value)) return true
    if (wants('boolean') && /^(?:false|0|)$/i.test(value)) return false
    if (wants('null') && value === '') return null
    if (wants('array')) return [convert(schema.items ?? {}, value)]
    return value
  }
  if (Array.isArray(value)) return schema.items ? value.map((item) => convert(schema.items ?? {}, item)) : value
  if (typeof value !== 'object' || value === null || !schema.properties) return value
  for (const [key, part] of Object.entries(schema.properties)) {
    const given = (value as Record<string, unknown>)[key]
    if (given !== undefined) (value as Record<string, unknown>)[key] = convert(part, given)
  }
  return value
}

/** Validation tells every fault, so an array of half a million wrong items must not get that far. */
function refuseLongArrays(schema: Schema, value: unknown, path: string) {
  if (Array.isArray(value) && schema.maxItems !== undefined && value.length > schema.maxItems) {
    throw errors.invalid({ [path]: [`has too many items (maximum is ${schema.maxItems})`] })
  }
  if (typeof value !== 'object' || value === null || !schema.properties) return
  for (const [key, part] of Object.entries(schema.properties)) {
    refuseLongArrays(part, (value as Record<string, unknown>)[key], path === '' ? key : `${path}.${key}`)
  }
}
