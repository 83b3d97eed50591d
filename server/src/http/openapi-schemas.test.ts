import { Type } from 'typebox'
import { expect, test } from 'vitest'
import { ComponentSchemas, describeParameter, type Json } from './openapi-schemas.ts'
import { accepted, Flag, Id, TextOrNull } from './schema.ts'

/** Returns the description of a schema, and the components that it refers to. */
function describe(schema: object, name = 'Thing') {
  const schemas = new ComponentSchemas()
  const described = schemas.describe(structuredClone(schema) as Json, name)
  return { described, components: schemas.toJson() }
}

test.each([
  ['a flag', Flag('Whether.'), { type: 'boolean' }],
  [
    'a number as a string',
    accepted({ type: ['string', 'integer'], documented: 'string', maxLength: 40, minimum: 1 }),
    { type: 'string', maxLength: 40 },
  ],
  [
    'a string as an array',
    accepted({ type: ['string', 'array', 'null'], documented: 'array', items: { type: 'string' }, maxLength: 9 }),
    { type: 'array', items: { type: 'string' } },
  ],
  [
    'several types that may be null',
    accepted({ type: ['string', 'integer', 'null'], documented: ['string', 'null'], maximum: 9 }),
    { type: ['string', 'null'] },
  ],
  [
    'an enumeration with values of other types',
    accepted({ type: ['string', 'integer'], documented: 'string', enum: ['a', 1] }),
    { type: 'string', enum: ['a'] },
  ],
  [
    'a union of constants',
    Type.Union([Type.Literal('single'), Type.Literal('double')]),
    { type: 'string', enum: ['single', 'double'] },
  ],
  ['an id', Id('Id.'), { type: 'integer', format: 'int64', minimum: 1, maximum: Number.MAX_SAFE_INTEGER }],
  ['a count', Type.Integer(), { type: 'integer', format: 'int64' }],
  [
    'a number below 2^31',
    Type.Integer({ maximum: 2 ** 31 - 1 }),
    { type: 'integer', format: 'int32', maximum: 2 ** 31 - 1 },
  ],
  ['a number from 2^31', Type.Integer({ maximum: 2 ** 31 }), { type: 'integer', format: 'int64', maximum: 2 ** 31 }],
  [
    'a nullable number',
    Type.Unsafe({ type: ['integer', 'null'], maximum: 9 }),
    { type: ['integer', 'null'], format: 'int32', maximum: 9 },
  ],
  ['a nullable string', TextOrNull({ maxLength: 9 }), { type: ['string', 'null'], maxLength: 9 }],
  [
    'a map',
    Type.Unsafe({ type: 'object', additionalProperties: Type.Integer() }),
    { type: 'object', additionalProperties: { type: 'integer', format: 'int64' } },
  ],
])('describes %s', (_, schema, expected) => {
  const { described, components } = describe(schema)
  expect(described).toMatchObject(expected)
  const { description: __, ...rest } = described
  expect(rest).toEqual(expected)
  expect(components).toEqual({})
})

test('omits keys that only former clients send, and describes a body as documented', () => {
  const documented = Type.Object(
    { url: Type.String(), link: Type.Optional(Type.Unknown({ documented: false })) },
    { title: 'Link' },
  )
  const { described, components } = describe(Type.Object({ link: Type.Optional(Type.String()) }, { documented }))
  expect(described).toEqual({ $ref: '#/components/schemas/Link' })
  expect(components).toEqual({
    Link: {
      type: 'object',
      required: ['url'],
      properties: { url: { type: 'string' } },
      additionalProperties: true,
    },
  })
})

test('describes a value whose types differ in meaning as a union', () => {
  const { described } = describe({
    type: ['string', 'number', 'null'],
    maxLength: 9,
    minimum: 1,
    description: 'Value.',
  })
  expect(described).toEqual({
    description: 'Value.',
    anyOf: [{ type: 'string', maxLength: 9 }, { type: 'number', minimum: 1 }, { type: 'null' }],
  })
})

test('names each object by its title, or after its place', () => {
  const schema = Type.Object({
    parts: Type.Array(Type.Object({ ms: Type.Integer() })),
    by_carrier: Type.Object({}, { title: 'Carriers' }),
    hours: Type.Unsafe({ ...Type.Object({ from: Type.String() }), type: ['object', 'null'], description: 'Hours.' }),
    values: Type.Unsafe({ type: 'object', additionalProperties: Type.Object({ id: Id('Id.') }) }),
  })
  const { described, components } = describe(schema, 'GetPlanResponse')
  expect(described).toEqual({ $ref: '#/components/schemas/GetPlanResponse' })
  expect(Object.keys(components)).toEqual([
    'Carriers',
    'GetPlanResponse',
    'GetPlanResponseHours',
    'GetPlanResponsePart',
    'GetPlanResponseValue',
  ])
  expect(components.GetPlanResponse?.properties).toEqual({
    parts: { type: 'array', items: { $ref: '#/components/schemas/GetPlanResponsePart' } },
    by_carrier: { $ref: '#/components/schemas/Carriers' },
    hours: { anyOf: [{ $ref: '#/components/schemas/GetPlanResponseHours' }, { type: 'null' }], description: 'Hours.' },
    values: { type: 'object', additionalProperties: { $ref: '#/components/schemas/GetPlanResponseValue' } },
  })
})

test('states for each object whether it may have other keys', () => {
  const { components } = describe(Type.Object({ strict: Type.Object({}, { additionalProperties: false }) }))
  expect(components).toMatchObject({
    Thing: { additionalProperties: true },
    ThingStrict: { additionalProperties: false },
  })
})

test('rejects two schemas with one name', () => {
  const named = (properties: object) => ({ type: 'object', title: 'Thing', properties })
  const schemas = new ComponentSchemas()
  schemas.describe(named({ id: { type: 'string' } }), 'A')
  expect(() => schemas.describe({ ...named({ id: { type: 'string' } }), description: 'Again.' }, 'B')).not.toThrow()
  expect(() => schemas.describe(named({ id: { type: 'boolean' } }), 'C')).toThrow(/two schemas .* the name Thing/)
})

test.each([
  [{ type: ['string', 'integer', 'null'], documented: 'string' }, { type: 'string' }],
  [
    { type: ['string', 'null'], maxLength: 3 },
    { type: 'string', maxLength: 3 },
  ],
  [Type.Integer({ maximum: 9 }), { type: 'integer', format: 'int32', maximum: 9 }],
])('describes the parameter %j with one type', (schema, expected) => {
  expect(describeParameter(structuredClone(schema) as Json)).toEqual(expected)
})
