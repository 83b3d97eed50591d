// Turns the schemas of the routes, which validate requests, into the schemas of openapi.json, from which clients are
// generated: every object has a name, every integer has a width, and a value that is accepted in several types has the one
// that clients should send.

export type Json = { [key: string]: unknown }

/** The keywords that constrain only values of one type. */
const keywordsOfType: Record<string, string[]> = {
  string: ['minLength', 'maxLength', 'pattern'],
  number: ['minimum', 'maximum'],
  integer: ['minimum', 'maximum'],
  array: ['items', 'minItems', 'maxItems', 'uniqueItems'],
  object: ['properties', 'required', 'additionalProperties'],
}
const allKeywords = new Set(Object.values(keywordsOfType).flat())
const annotations = ['description', 'x-extension']

/** The named schemas of a document. */
export class ComponentSchemas {
  readonly #schemas = new Map<string, Json>()

  /** Returns the schema for the document. Each object in it becomes a component and is named by its title, or else `name`. */
  describe(given: Json, name: string): Json {
    const schema = withEnum(asDocumented(given))
    if (Array.isArray(schema.anyOf)) {
      const parts = schema.anyOf as Json[]
      return { ...schema, anyOf: parts.map((part) => (part.type === 'null' ? part : this.describe(part, name))) }
    }
    const types = typesOf(schema)
    const present = types.filter((type) => type !== 'null')
    // generators have no type for a value that is always null
    if (types[0] === 'null' && types.length === 1) return { ...schema, type: ['string', 'null'] }
    if (present.length > 1) return this.describe(toUnion(schema, types), name)
    switch (present[0]) {
      case 'integer':
        return { ...schema, format: isInt32(schema) ? 'int32' : 'int64' }
      case 'array':
        return { ...schema, items: this.describe(schema.items as Json, singular(name)) }
      case 'object':
        return this.#describeObject(schema, name, types.includes('null'))
      default:
        return schema
    }
  }

  /** Returns the described components by name, in alphabetical order. */
  toJson(): Record<string, Json> {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  #describeObject(schema: Json, name: string, nullable: boolean): Json {
    const { title, properties, additionalProperties, ...rest } = schema
    const component = typeof title === 'string' ? title : name
    const values =
      typeof additionalProperties === 'object'
        ? this.describe(additionalProperties as Json, properties ? `${component}Value` : singular(component))
        : additionalProperties
    // a map needs no name
    if (properties === undefined) return { ...rest, ...(values === undefined ? {} : { additionalProperties: values }) }
    const parts = Object.entries(properties as Record<string, Json>)
      .filter(([, { documented }]) => documented !== false)
      .map(([key, part]) => [key, this.describe(part, component + pascal(key))])
    const described = {
      ...rest,
      type: 'object',
      properties: Object.fromEntries(parts),
      additionalProperties: values ?? true,
    }
    const reference = { $ref: `#/components/schemas/${this.#add(component, described)}` }
    const notes = pick(rest, annotations)
    return nullable ? { anyOf: [reference, { type: 'null' }], ...notes } : { ...reference, ...notes }
  }

  /** Adds a component and returns its name; throws if another schema has the name. */
  #add(name: string, schema: Json): string {
    const known = this.#schemas.get(name)
    if (known === undefined) this.#schemas.set(name, schema)
    else if (shapeOf(known) !== shapeOf(schema)) throw new Error(`two schemas of openapi.json have the name ${name}`)
    // a description of one use is not one of the others
    else if (known.description !== schema.description) delete known.description
    return name
  }
}

/** Returns the schema of a path or query parameter, which has one type and is never null. */
export function describeParameter(given: Json): Json {
  const schema = withEnum(asDocumented(given))
  const type = typesOf(schema).find((each) => each !== 'null')
  return type === 'integer' ? { ...schema, type, format: isInt32(schema) ? 'int32' : 'int64' } : { ...schema, type }
}

/** Returns a name in upper camel case: `by_carrier` as `ByCarrier`. */
export function pascal(name: string): string {
  return name.replace(/(?:^|_)([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase())
}

/** Returns what a schema states for the document, as `documented`: its types, or another schema. */
function asDocumented({ documented, ...schema }: Json): Json {
  if (documented === undefined) return schema
  if (typeof documented === 'object' && !Array.isArray(documented)) return documented as Json
  return restrict(schema, [documented].flat() as string[])
}

/** Replaces a union of constants with an enumeration. */
function withEnum(schema: Json): Json {
  const { anyOf, ...rest } = schema
  if (!Array.isArray(anyOf) || !anyOf.every((part) => typeof part.const === 'string')) return schema
  return { type: 'string', enum: anyOf.map((part) => part.const), ...rest }
}

/** Returns the schema with only these types, and without the keywords and values of other types. */
function restrict(schema: Json, types: string[]): Json {
  const keywords = new Set(types.flatMap((type) => keywordsOfType[type] ?? []))
  const kept = Object.entries(schema).filter(([key]) => keywords.has(key) || !allKeywords.has(key))
  const { enum: values, ...rest } = Object.fromEntries(kept)
  const type = types.length === 1 ? types[0] : types
  const fitting = Array.isArray(values) ? values.filter((value) => types.some((each) => isOfType(value, each))) : []
  // true and false are all values of a boolean
  return fitting.length === 0 || type === 'boolean' ? { ...rest, type } : { ...rest, type, enum: fitting }
}

/** Returns a schema with several types as a union of schemas with one type each. */
function toUnion(schema: Json, types: string[]): Json {
  const notes = pick(schema, [...annotations, 'default', 'examples'])
  const constraints = Object.fromEntries(Object.entries(schema).filter(([key]) => !(key in notes)))
  return { ...notes, anyOf: types.map((type) => restrict(constraints, [type])) }
}

function typesOf(schema: Json): string[] {
  return [schema.type ?? []].flat() as string[]
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null
  if (type === 'integer') return Number.isInteger(value)
  return typeof value === type
}

function isInt32({ minimum = 0, maximum }: Json): boolean {
  return typeof maximum === 'number' && maximum < 2 ** 31 && Number(minimum) >= -(2 ** 31)
}

function singular(name: string): string {
  return name.endsWith('ies') ? `${name.slice(0, -3)}y` : name.replace(/(?<=[^s])s$/, '')
}

function pick(schema: Json, keys: string[]): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => keys.includes(key)))
}

/** Returns what two uses of a schema must have in common. */
function shapeOf(schema: Json): string {
  return JSON.stringify(Object.entries(schema).filter(([key]) => !annotations.includes(key)))
}
