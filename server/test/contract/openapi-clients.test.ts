import { gzipSync } from 'node:zlib'
import { beforeEach, expect, test } from 'vitest'
import { basic, useApi } from '../api.ts'
import { bodies } from './bodies.ts'
import { describedOperations, documentOf, type Schema } from './description.ts'
import { createFixtures, type Ids } from './fixtures.ts'

// Checks without the generators and linters of `npm run test:clients` that clients can be generated from openapi.json.

const api = useApi()
const document = () => documentOf(api.app)
const operations = () => describedOperations(api.app)

let ids: Ids

beforeEach(async () => {
  ids = await createFixtures(api.db, api.owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
})

test('each PUT is also a PATCH with the same schemas', () => {
  for (const [path, { put, patch }] of Object.entries(document().paths)) {
    expect(patch?.requestBody?.content['application/json']?.schema, path).toEqual(
      put?.requestBody?.content['application/json']?.schema,
    )
    expect(Object.keys(patch?.responses ?? {}), path).toEqual(Object.keys(put?.responses ?? {}))
  }
})

type Request = { headers?: Record<string, string>; payload?: string | Buffer; query?: string }

test('each operation documents the errors of malformed requests', async () => {
  const requests: [fault: string, request: Request][] = [
    ['malformed JSON', { payload: '{"a":' }],
    ['no key', { headers: { authorization: '' } }],
    ['Accept: text/html', { headers: { accept: 'text/html' } }],
    ['gzip', { payload: gzipSync('{}') }],
    ['a large body', { payload: `{"a":"${'x'.repeat(1_000_001)}"}` }],
    ['a NUL in the query', { query: 'nul=%00' }],
    ['an invalid Idempotency-Key', { headers: { 'idempotency-key': 'x'.repeat(256) } }],
  ]
  for (const { name, path, requestBody, responses } of operations()) {
    if (!path.startsWith('/api/v2/') || requestBody?.content['application/octet-stream']) continue
    const body = bodies[name]
    for (const [fault, { headers, ...request }] of requests) {
      await api.db.exec('before', 'savepoint before')
      const { statusCode } = await api.app.inject({
        method: name.split(' ')[0] as 'GET',
        url: path.replace(/\{(\w+)\}/g, (_, id) => ids[id] ?? ''),
        headers: { authorization: basic(api.owner.key), 'content-type': 'application/json', ...headers },
        ...(body === null ? {} : { payload: JSON.stringify(body) }),
        ...request,
      })
      await api.db.exec('undo', 'rollback to savepoint before')
      expect(Object.keys(responses), `${name}, ${fault}`).toContain(String(statusCode))
    }
  }
})

test('schemas are fit for generated clients', () => {
  for (const [name, schema] of Object.entries(document().components.schemas)) {
    expect(name).toMatch(/^[A-Z][A-Za-z0-9]*$/)
    expect(schema, name).toMatchObject({ type: 'object', additionalProperties: expect.anything() })
    for (const [key, part] of Object.entries(schema.properties ?? {})) expectFit(`${name}.${key}`, part)
  }
  for (const { name, parameters = [], requestBody, responses } of operations()) {
    for (const parameter of parameters) {
      expect(parameter.schema, `${name}, ${parameter.name}`).toMatchObject({ type: expect.any(String) })
      expectFit(`${name}, ${parameter.name}`, parameter.schema as Schema)
    }
    for (const { content = {} } of [...(requestBody ? [requestBody] : []), ...Object.values(responses)]) {
      for (const { schema } of Object.values(content)) expectFit(name, schema as Schema)
    }
  }
})

test('no name of a schema becomes the name of another type or of a test file in Go', () => {
  for (const name of Object.keys(document().components.schemas)) {
    // openapi-generator adds NewList and NullableList to List, and a schema ListTest would be in model_list_test.go
    expect(name).not.toMatch(/^(?:New|Nullable)[A-Z]|Test$/)
  }
})

test('no name is a reserved word of Go or Python, except those that are part of the wire format', () => {
  const names = [
    ...operations().flatMap(({ operationId, parameters = [] }) => [operationId, ...parameters.map(({ name }) => name)]),
    ...Object.keys(document().components.schemas),
    ...Object.values(document().components.schemas).flatMap(({ properties = {} }) => Object.keys(properties)),
  ]
  const found = new Set(names.filter((name) => reservedWords.has(name)))
  expect([...found].sort()).toEqual(['from', 'import', 'type'])
})

/** The keywords of Go and Python that are in lower case. */
const reservedWords = new Set(
  `break case chan const continue default defer else fallthrough for func go goto if import interface map package range
   return select struct switch type var and as assert async await class def del elif except finally from global in is
   lambda nonlocal not or pass raise try while with yield`.split(/\s+/),
)

/** Checks that a schema has one type, or null, or is a union; no object without a name, and a width for each integer. */
function expectFit(place: string, schema: Schema) {
  if (schema.$ref !== undefined) return
  expect(schema, place).not.toHaveProperty('documented')
  if (Array.isArray(schema.anyOf)) {
    for (const part of schema.anyOf) expectFit(place, part)
    return
  }
  const types = [schema.type ?? []].flat()
  expect(types.filter((type) => type !== 'null').length, place).toBeLessThan(2)
  if (types.includes('integer')) expect(schema.format, place).toMatch(/^int(?:32|64)$/)
  if (types.includes('array')) expectFit(place, schema.items as Schema)
  if (types.includes('object')) {
    expect(schema.properties, `${place} is an object without a name`).toBeUndefined()
    if (typeof schema.additionalProperties === 'object') expectFit(place, schema.additionalProperties as Schema)
  }
}
