import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { beforeEach, expect, test } from 'vitest'
import { basic, readResponse, useApi } from '../api.ts'
import { bodies } from './bodies.ts'
import {
  type DescribedOperation,
  describedOperations,
  documentOf,
  type Media,
  type ResponseObject,
} from './description.ts'
import { operations as vendorOperations } from './document.ts'
import { createFixtures, type Ids } from './fixtures.ts'

// Checks that openapi.json is complete, and correct: its examples are calls made by these tests.

// a fixed clock, so that the examples are the same on every day
const api = useApi({ clock: { now: () => new Date('2026-03-02T17:30:00Z') } })
const document = () => documentOf(api.app)
const operations = () => describedOperations(api.app)

let ids: Ids

beforeEach(async () => {
  ids = await createFixtures(api.db, api.owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
})

test('the examples are real calls (`npm test -- contract -u` writes them, then run `npm run gen`)', async () => {
  for (const role of ['worker', 'gateway']) {
    const sql = `insert into heartbeats (role, instance_id, details, seen_at)
      values ('${role}', gen_random_uuid(), '{"bound": 1}', clock_timestamp())`
    await api.db.exec(`insert_heartbeat_${role}`, sql)
  }
  const examples: Record<string, object> = {}
  for (const operation of operations()) {
    const body = bodies[operation.name] ?? null
    await api.db.exec('before', 'savepoint before')
    const { status, body: response } = await call(operation, body)
    await api.db.exec('undo', 'rollback to savepoint before')
    expect(status, operation.name).toBeLessThan(300)
    examples[operation.operationId] = {
      ...(body === null || typeof body === 'string' ? {} : { body }),
      code: String(status),
      response: normalize(response),
    }
  }
  const file = fileURLToPath(new URL('../../src/http/examples.gen.json', import.meta.url))
  await expect(`${JSON.stringify(examples, null, 2)}\n`).toMatchFileSnapshot(file)
})

test('each operation has a unique id, a summary, a described tag, and is marked if it is an extension', () => {
  const { tags } = document()
  const ofVendor = new Set(vendorOperations.map(({ method, path }) => `${method} ${path}`))
  const names = operations().map(({ operationId }) => operationId)
  expect(new Set(names).size).toBe(names.length)
  for (const operation of operations()) {
    const { name, operationId, summary, 'x-extension': isExtension = false } = operation
    expect(operationId, name).toMatch(/^[a-z]+([A-Z][a-z]+)*$/)
    expect(summary, name).toMatch(/^[A-Z].*[^.]$/)
    expect(operation.tags, name).toHaveLength(1)
    expect(
      tags.map((tag) => tag.name),
      name,
    ).toContain(operation.tags?.[0])
    expect(isExtension, name).toBe(!ofVendor.has(name))
  }
})

test('each operation describes its path parameters, its body and all its responses', () => {
  for (const { name, path, parameters = [], requestBody, responses } of operations()) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
    expect(
      parameters
        .filter((each) => each.in === 'path')
        .map((each) => each.name)
        .sort(),
      name,
    ).toEqual(named.sort())
    expect(requestBody !== undefined, name).toBe((bodies[name] ?? null) !== null)
    const codes = Object.keys(responses)
    expect(
      codes.some((code) => code.startsWith('2')),
      name,
    ).toBe(true)
    for (const response of Object.values(responses)) {
      const { description } = response.$ref === undefined ? response : sharedResponse(response.$ref)
      expect(description, name).toMatch(/^[A-Z`].*\.$/s)
    }
  }
})

test('each body and each success has an example that matches its schema', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  formats.default(ajv)
  ajv.addSchema({ $id: 'own', components: document().components })
  const expectValid = (where: string, media: Media | undefined) => {
    expect(media?.example, where).toBeDefined()
    const absolute = JSON.stringify(media?.schema).replaceAll('"#/components', '"own#/components')
    const validate = ajv.compile(JSON.parse(absolute))
    validate(media?.example)
    expect(validate.errors, where).toBeNull()
  }
  for (const { name, requestBody, responses } of operations()) {
    for (const media of Object.values(requestBody?.content ?? {})) expectValid(`${name}, body`, media)
    const successes = Object.entries(responses).filter(([code]) => code.startsWith('2'))
    const shown = successes.filter(([, response]) => response.content?.['application/json']?.example !== undefined)
    expect(shown, name).toHaveLength(1)
    for (const [code, response] of shown) expectValid(`${name}, ${code}`, response.content?.['application/json'])
  }
})

test.each(['schemas', 'responses'] as const)(
  'each reference to %s has a target, and each target a reference',
  (kind) => {
    const pattern = new RegExp(`"#/components/${kind}/(\\w+)"`, 'g')
    const referred = new Set([...JSON.stringify(document()).matchAll(pattern)].map((match) => match[1]))
    expect([...referred].sort()).toEqual(Object.keys(document().components[kind]).sort())
  },
)

test('the document and each operation have what linters require', () => {
  const { info, servers, tags } = document()
  expect(info).toMatchObject({ contact: { name: expect.any(String) }, license: { identifier: 'Apache-2.0' } })
  expect(servers).toEqual([{ url: expect.stringMatching(/^https?:\/\/.*[^/]$/) }])
  for (const { description } of tags) expect(description).toMatch(/\.$/)
  for (const { name, description, responses } of operations()) {
    expect(description, name).toMatch(/^[A-Z`].*\.$/s)
    expect(
      Object.keys(responses).some((code) => code.startsWith('4')),
      name,
    ).toBe(true)
  }
})

function sharedResponse(reference: string): ResponseObject {
  return document().components.responses[reference.split('/').at(-1) ?? ''] ?? {}
}

async function call({ name, path }: DescribedOperation, body: object | string | null) {
  const message = `/lists/${ids.list_id}/messages/${ids.message_id}`
  // a connection with an MO cannot be deleted
  if (name === 'DELETE /connections/{connection_id}') await api.db.exec('forget', 'delete from inbound_messages')
  if (name.endsWith('/cancel')) await api.owner.put(message, { message: { send_at: '2098-01-02T03:04:05Z' } })
  if (/\/(pause|resume)$/.test(name)) await api.owner.post(`${message}/send`)
  // a donation requires a sent message
  if (name.endsWith('{message_id}/donations')) await api.owner.post(`${message}/send`)
  const payload = body === null ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }
  const type = typeof body === 'string' ? 'text/csv' : 'application/json'
  return readResponse(
    await api.app.inject({
      method: name.split(' ')[0] as 'GET',
      url: path.replace(/\{(\w+)\}/g, (_, id) => ids[id] ?? ''),
      headers: { authorization: basic(api.owner.key), 'content-type': type },
      ...payload,
    }),
  )
}

const exampleIds: Record<string, number> = {
  account: 712,
  list: 4021,
  message: 30517,
  webhook: 88,
  import: 17,
  momt_report: 5,
  donation: 61,
  api_key: 9,
  connection: 3,
}

/** Returns the response with fixed values for all data that changes between runs: ids, times and the account. */
function normalize(value: unknown, noun = ''): unknown {
  if (Array.isArray(value)) return value.map((part) => normalize(part, noun))
  if (typeof value === 'string') return normalizeText(value)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, part]) => {
    const owner = key === 'id' ? noun : /^(\w+)_id$/.exec(key)?.[1]
    if (owner !== undefined && typeof part === 'number') return [key, exampleIds[owner] ?? 1]
    if (key === 'username') return [key, 'cedarvalley']
    if (key === 'ms') return [key, 20]
    // positions of tests are from a sequence, which a rollback does not reset
    if (key === 'position' && Number(part) >= 2 ** 52) return [key, 2 ** 52]
    // updated at some time after the response
    if (key === 'last_used_at') return [key, null]
    return [key, normalize(part, key.replace(/s$/, ''))]
  })
  return Object.fromEntries(entries)
}

function normalizeText(text: string): string {
  const { email, shortCode, key } = api.owner
  if (text === email) return 'dev@cedarvalley.example'
  if (text.endsWith(shortCode.code)) return `${text.slice(0, -shortCode.code.length)}48822`
  if (text.startsWith('whsec_')) return 'whsec_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAM'
  if (text.startsWith('carillon_key_'))
    return text.length < key.length ? 'carillon_key_EXAMPLE' : 'carillon_key_EXAMPLE-shown-only-once'
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|[+-]\d\d:\d\d)$/.exec(text)
  return time ? `2026-03-02T09:30:00${time[1] ? '.000' : ''}${time[2] === 'Z' ? 'Z' : '-08:00'}` : text
}
