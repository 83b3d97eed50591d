import { beforeEach, expect, test } from 'vitest'
import { type ApiResponse, basic, readResponse, useApi } from '../api.ts'
import { type DescribedOperation, describedOperations, documentOf } from './description.ts'
import { createFixtures, type Ids } from './fixtures.ts'
import { type RequestField, requestFields } from './request-fields.ts'

// Each number, string and array of a body is tried at the limits that openapi.json states, and just outside of them: the limits
// are accepted and returned, and values outside are a 422 that names the field. The fields are read from the document, so a new
// one is tried, too.

const api = useApi()
let ids: Ids
let fields: RequestField[]

beforeEach(async () => {
  ids = await createFixtures(api.db, api.owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
  fields = requestFields(describedOperations(api.app), documentOf(api.app).components.schemas, ids)
})

test('each number in openapi.json has a minimum and a maximum', () => {
  const without: string[] = []
  const visit = (schema: unknown, where: string): void => {
    if (typeof schema !== 'object' || schema === null) return
    const { type, minimum, maximum } = schema as Record<string, unknown>
    const isNumber = [type].flat().some((each) => each === 'integer' || each === 'number')
    if (isNumber && (typeof minimum !== 'number' || typeof maximum !== 'number')) without.push(where)
    for (const [key, part] of Object.entries(schema)) if (!/^examples?$/.test(key)) visit(part, `${where}/${key}`)
  }
  const { components, paths } = documentOf(api.app)
  visit(components, '')
  visit(paths, '')
  expect(without).toEqual([])
})

test('each number of a body is accepted at its limits and returned, and rejected outside of them', async () => {
  const faults: string[] = []
  let returned = 0
  const numbers = fields.filter(({ schema }) => isOfType(schema, 'integer') || isOfType(schema, 'number'))
  for (const field of numbers) {
    const [minimum, maximum] = [Number(field.schema.minimum), Number(field.schema.maximum)]
    for (const value of [minimum, maximum]) {
      const response = await call(field, value)
      const isAccepted = response.status < 300 || (isReference(field) && response.status === 422)
      const found = valuesOf(response.body, field.key).map(String)
      if (!isAccepted) faults.push(describe(field, value, response))
      else if (response.status < 300 && found.length > 0 && !found.includes(String(value)))
        faults.push(`${describe(field, value, response)}, but returned ${found}`)
      else if (found.includes(String(value))) returned++
    }
    for (const value of [minimum - 1, maximum + 1]) {
      const response = await call(field, value)
      if (response.status !== 422 || !namesField(response, field)) faults.push(describe(field, value, response))
    }
  }
  expect(faults).toEqual([])
  expect(numbers.length).toBeGreaterThan(60)
  expect(returned).toBeGreaterThan(60)
})

test('no string of a body is too long at its limit, and each is rejected above it', async () => {
  const faults: string[] = []
  const strings = fields.filter(({ schema }) => isOfType(schema, 'string') && schema.maxLength !== undefined)
  for (const field of strings) {
    const maxLength = Number(field.schema.maxLength)
    const longest = await call(field, 'x'.repeat(maxLength))
    if (longest.status >= 500 || (longest.status === 422 && /too long/.test(longest.text)))
      faults.push(describe(field, maxLength, longest))
    const longer = await call(field, 'x'.repeat(maxLength + 1))
    if (longer.status !== 422) faults.push(describe(field, maxLength + 1, longer))
    if (Number(field.schema.minLength ?? 0) > 0) {
      const empty = await call(field, '')
      if (empty.status !== 422 || !namesField(empty, field)) faults.push(describe(field, 0, empty))
    }
  }
  expect(faults).toEqual([])
  expect(strings.length).toBeGreaterThan(60)
})

test('each array of a body is rejected with more items than its limit', async () => {
  const faults: string[] = []
  const arrays = fields.filter(({ schema }) => isOfType(schema, 'array'))
  for (const field of arrays) {
    const count = Number(field.schema.maxItems) + 1
    const response = await call(field, Array(count).fill('1'))
    if (response.status !== 422 || !namesField(response, field)) faults.push(describe(field, count, response))
  }
  expect(faults).toEqual([])
  expect(arrays.length).toBeGreaterThan(10)
})

test('each page is returned at the limits of its parameters, and clamped outside of them', async () => {
  const paged = describedOperations(api.app).filter(({ parameters = [] }) =>
    parameters.some(({ name }) => name === 'page'),
  )
  expect(paged.length).toBeGreaterThan(10)
  for (const operation of paged) {
    const parameter = (wanted: string) => operation.parameters?.find(({ name }) => name === wanted)?.schema
    expect(parameter('page'), operation.name).toMatchObject({ minimum: 1, maximum: 1_000_000_000 })
    expect(parameter('per_page'), operation.name).toMatchObject({ minimum: 1, maximum: 1_000 })
    for (const [query, expected] of [
      ['page=1&per_page=1', { page: 1, per_page: 1 }],
      ['page=1000000000&per_page=1000', { page: 1_000_000_000, per_page: 1_000 }],
      [`page=${'9'.repeat(400)}&per_page=${2 ** 63}`, { page: 1_000_000_000, per_page: 1_000 }],
      ['page=0&per_page=-1', { page: 1, per_page: 10 }],
    ] as const) {
      const response = await send(operation, undefined, query)
      expect(response, `${operation.name} ${query}`).toMatchObject({ status: 200, body: expected })
    }
  }
})

/** Ids and positions in bodies are accepted only if they exist. */
function isReference({ key }: RequestField): boolean {
  return /(^|_)(id|position)$|^(carrier|campaign)$/.test(key)
}

function isOfType({ type }: { type?: string | string[] }, wanted: string): boolean {
  return [type].flat().includes(wanted)
}

function namesField({ body }: ApiResponse, { name }: RequestField): boolean {
  return Object.keys((body.details ?? {}) as object).some((detail) => detail === name || detail.startsWith(`${name}.`))
}

/** Returns all values of a key, at any depth; the items of an array instead of the array. */
function valuesOf(body: unknown, key: string): unknown[] {
  if (typeof body !== 'object' || body === null) return []
  return Object.entries(body).flatMap(([name, part]) => (name === key ? [part].flat() : valuesOf(part, key)))
}

/** Sends the body with this value in the field and undoes its effect. */
async function call(field: RequestField, value: unknown): Promise<ApiResponse> {
  await api.db.exec('before', 'savepoint before')
  const response = await send(field.operation, field.body(value))
  await api.db.exec('undo', 'rollback to savepoint before')
  return response
}

async function send({ name, path }: DescribedOperation, body: object | undefined, query = ''): Promise<ApiResponse> {
  const url = path.replace(/\{(\w+)\}/g, (_, id) => ids[id] ?? '')
  const headers = { authorization: basic(api.owner.key), 'content-type': 'application/json' }
  return readResponse(
    await api.app.inject({
      method: name.split(' ')[0] as 'GET',
      url: `${url}?${query}`,
      headers,
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    }),
  )
}

function describe({ operation, name }: RequestField, value: unknown, { status, text }: ApiResponse): string {
  return `${operation.name}, ${name} ${value}: ${status} ${text.slice(0, 300)}`
}
