import type { FastifySchemaValidationError } from 'fastify/types/schema.js'

type Fault = Pick<FastifySchemaValidationError, 'keyword' | 'instancePath' | 'params'>

/** Most requests with more errors are wrong in the same way, and each error takes time. */
const maxFaults = 1_000

/**
 * Returns the errors of a body per field, in the wording of Rails: `{ "list.name": ["can't be blank"] }`. Of many errors, it
 * returns the first.
 */
export function detailsOf(faults: Fault[]): Record<string, string[]> {
  const details = new Map<string, string[]>()
  for (const fault of faults.slice(0, maxFaults)) {
    // the branches of the union or of the condition report the details
    if (fault.keyword === 'anyOf' || fault.keyword === 'if') continue
    const field = fieldOf(fault)
    const texts = details.get(field) ?? []
    const text = textOf(fault)
    if (!texts.includes(text)) details.set(field, [...texts, text])
  }
  return Object.fromEntries(details)
}

function fieldOf({ keyword, instancePath, params }: Fault): string {
  const path = instancePath.split('/').slice(1).map(unescapePointer)
  if (keyword === 'required') path.push(String(params.missingProperty))
  // indexes are omitted: an error of an item is reported for its array, and an error of an item's field for the field
  return path.filter((part, index) => index === 0 || !/^[0-9]+$/.test(part)).join('.') || 'body'
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}

function textOf({ keyword, params }: Fault): string {
  switch (keyword) {
    case 'required':
      return "can't be blank"
    case 'type':
      return `must be ${namesOf(params.type)}`
    case 'minLength':
      return params.limit === 1 ? "can't be blank" : `is too short (minimum is ${params.limit} characters)`
    case 'maxLength':
      return `is too long (maximum is ${params.limit} characters)`
    case 'pattern':
      return params.pattern === '\\S' ? "can't be blank" : 'is invalid'
    case 'maxItems':
      return `has too many items (maximum is ${params.limit})`
    case 'minimum':
      return `must be greater than or equal to ${params.limit}`
    case 'maximum':
      return `must be less than or equal to ${params.limit}`
    case 'enum':
      return 'is not included in the list'
    default:
      return 'is invalid'
  }
}

const articles: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  integer: 'an integer',
  boolean: 'a boolean',
  array: 'an array',
  object: 'an object',
  null: 'null',
}

function namesOf(type: unknown): string {
  const types = (Array.isArray(type) ? type : String(type).split(',')).map((name) => articles[name] ?? name)
  return types.length < 2 ? types.join('') : `${types.slice(0, -1).join(', ')} or ${types.at(-1)}`
}
